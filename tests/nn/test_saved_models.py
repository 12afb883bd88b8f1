import tensorflow as tf

from rembrandt_featgen.nn import saved_models


def test_functions_are_saved_with_their_weights_and_the_first_is_the_default(tmp_path):
    factor, spec = tf.Variable(3.0), [tf.TensorSpec([], tf.float32, name="x")]
    times = tf.function(lambda x: {"y": factor * x}, input_signature=spec)
    plus = tf.function(lambda x: {"y": factor + x}, input_signature=spec)
    module, signatures = saved_models.module_and_signatures([factor], times=times, plus=plus)
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    for left in ("saved_model.pb.tmp1234", "variables/variables.data-of-before"):  # by a kill
        (folder / left).write_text("half")
    saved_models.save(module, folder, signatures)
    assert not [path for path in folder.rglob("*") if "tmp" in path.name or "before" in path.name]
    loaded = tf.saved_model.load(str(folder))
    assert set(loaded.signatures) == {"times", "plus", "serving_default"}
    found = {name: float(one(x=tf.constant(5.0))["y"]) for name, one in loaded.signatures.items()}
    assert found == {"times": 15.0, "plus": 8.0, "serving_default": 15.0}
    loaded.weights[0].assign(10.0)
    assert float(loaded.times(5.0)["y"]) == 50.0


def test_models_are_loaded_from_folders_whose_names_are_patterns_for_tensorflow(tmp_path, monkeypatch):
    factor, spec = tf.Variable(3.0), [tf.TensorSpec([], tf.float32, name="x")]
    times = tf.function(lambda x: {"y": factor * x}, input_signature=spec)
    module, signatures = saved_models.module_and_signatures([factor], times=times)
    folder = tmp_path / "a [b] *?\\ 'ü'"
    saved_models.save(module, folder / "model", signatures)
    monkeypatch.chdir(tmp_path)
    for given in (folder, folder.relative_to(tmp_path)):
        (found,) = saved_models.signatures_of(str(given), "model", ["times"])
        assert float(found(x=tf.constant(5.0))["y"]) == 15.0
