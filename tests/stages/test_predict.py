"""What `predict` makes of exported models, here of small ones that stand for them."""

import dataclasses
import json
import os

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.stages import predict

SHAPE = (6, 5, 4)  # of the volume


class Unet(tf.Module):
    """Finds what is above 100; a slice's feature is its mean."""

    def __init__(self, settings=None, kept=1.0):
        super().__init__()
        self.settings, self.kept = tf.constant(json.dumps(settings or {})), tf.constant(kept)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32, name="image")])
    def prepare(self, image):
        full = tf.shape(image)[1:3]
        geometry = {"full": full, "box": tf.concat([[0, 0], full], 0), "scaled": full}
        description = tf.reduce_mean(image, keepdims=True)[0, 0]
        return {"slices": image, "description": description, "kept": self.kept, "settings": self.settings, **geometry}

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32, name="slices")])
    def segment_slices(self, slices):
        probability = tf.cast(slices > 100.0, tf.float32)
        return {"probability": probability, "feature": tf.reduce_mean(slices, [1, 2], keepdims=True)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 1], tf.float32, name="probability"),
            *(tf.TensorSpec([size], tf.int32, name=name) for name, size in (("full", 2), ("box", 4), ("scaled", 2))),
        ]
    )
    def restore(self, probability, full, box, scaled):
        return {"probability": probability, "unused": full + scaled + box[2:]}


class Classifier(tf.Module):
    """The logits of the classes are the feature times the class's slope."""

    def __init__(self, names, slopes, thresholds=None):
        super().__init__()
        self.names, self.slopes = tf.constant(names), tf.Variable(slopes)
        self.thresholds = tf.constant(thresholds or [1.0 / len(names)] * len(names), tf.float64)

    @tf.function(input_signature=[tf.TensorSpec([None, 1, 1, 1], tf.float32, name="feature")])
    def classify(self, feature):
        probability = tf.nn.softmax(feature[:, 0, 0, :] * self.slopes)
        return {"probability": probability, "classes": self.names, "thresholds": self.thresholds}


class Before(tf.Module):
    """A classifier as version 0.1 exported it."""

    @tf.function(input_signature=[tf.TensorSpec([None, 1, 1, 1], tf.float32, name="feature")])
    def classify(self, feature):
        return {"probability_hgg": feature[:, 0, 0, 0], "grades": tf.constant(["LGG", "HGG"])}


@pytest.fixture
def image(tmp_path):
    voxels = np.random.default_rng(0).uniform(0, 200, SHAPE).astype(np.float32)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "image.nii")
    return tmp_path / "image.nii", voxels


def _signatures(unet):
    return {"prepare": unet.prepare, "segment_slices": unet.segment_slices, "restore": unet.restore}


def export(tmp_path, classifier, unet=None):
    """Saves models in the folder export."""
    unet = unet or Unet()
    tf.saved_model.save(unet, str(tmp_path / "export/unet"), _signatures(unet))
    tf.saved_model.save(classifier, str(tmp_path / "export/classifier"), {"classify": classifier.classify})


def _config(tmp_path, image, classifier, unet=None, **changes):
    export(tmp_path, classifier, unet)
    settings = {"result": str(tmp_path / "result.json"), "predict_batch": 3, **changes}
    return predict.Config(str(tmp_path / "export"), (str(image),), str(tmp_path / "mask.nii.gz"), **settings)


@pytest.mark.parametrize(
    ("names", "slopes"),
    [
        (["benign", "malignant"], [-0.01, 0.01]),
        (["malignant", "benign"], [0.01, -0.01]),
        (["a", "b", "c"], [0.0, 0.02, 0.01]),
    ],
)
def test_result_by_name_of_class(names, slopes, image, tmp_path, capsys):
    path, voxels = image
    result = predict.run(_config(tmp_path, path, Classifier(names, slopes)))
    assert json.loads((tmp_path / "result.json").read_text()) == result
    logits = voxels.mean((0, 1))[:, None] * np.array(slopes)
    per_slice = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)  # [slices, classes]
    for label, name in enumerate(names):
        np.testing.assert_allclose(result["probability_by_slice"][name], per_slice[:, label], rtol=1e-4)
    wanted = np.exp(np.log(per_slice).mean(0))  # of two classes, the mean log-odds
    assert list(result["probability"]) == names
    np.testing.assert_allclose(list(result["probability"].values()), wanted / wanted.sum(), rtol=1e-4)
    assert sum(result["probability"].values()) == pytest.approx(1)
    assert result["label"] == names[int(np.argmax(wanted))]
    assert capsys.readouterr().out.startswith(f"{result['label']}: probabilities {names[0]} ")
    mask = nib.load(tmp_path / "mask.nii.gz").get_fdata()
    np.testing.assert_array_equal(mask, voxels > 100)
    assert result["tumour_voxels"] == mask.sum()


def test_classes_are_decided_by_the_thresholds_of_the_model(image, tmp_path, capsys):
    classifier = Classifier(["a", "b", "c"], [0.0, 0.002, 0.001], [0.2, 0.7, 0.1])
    result = predict.run(_config(tmp_path, image[0], classifier))
    p = np.array(list(result["probability"].values()))
    assert p.argmax() == 1
    assert result["label"] == ["a", "b", "c"][np.argmax(p / [0.2, 0.7, 0.1])] == "c"
    assert result["thresholds"] == {"a": 0.2, "b": 0.7, "c": 0.1}
    assert "slices; thresholds a 0.200, b 0.700, c 0.100)" in capsys.readouterr().out


def test_models_of_before_are_refused(image, tmp_path):
    with pytest.raises(InputError, match="exported by another version of this program.*stages.pipeline") as caught:
        predict.run(_config(tmp_path, image[0], Before()))
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "mask.nii.gz").exists()


def test_other_models_are_refused(image, tmp_path):
    config = _config(tmp_path, image[0], Classifier(["a", "b"], [0.0, 1.0]))
    tf.saved_model.save(Unet(), str(tmp_path / "export/classifier"))
    with pytest.raises(InputError, match="has no signature classify; give the export/ folder"):
        predict.run(config)


def test_number_of_volumes(image, tmp_path):
    config = _config(tmp_path, image[0], Classifier(["a", "b"], [0.0, 1.0]), predict_batch=1)
    config = predict.Config(config.model_dir, (str(image[0]), str(image[0])), config.mask)
    with pytest.raises(InputError, match="2 volumes given, the model takes 1"):
        predict.run(config)


def _familiar(low, high):
    """Settings of a model whose training volumes were of intensity `low` to `high` and of the image's size."""
    kept = {"mean": [(low + high) / 2], "spread": [high - low], "precision": [[1.0]], "limit": 1.0, "volumes": 9}
    return {**kept, "shapes": [[4, 5, 6], [4, 5, 6]], "spacings": [[1.0] * 3, [1.0] * 3]}


def test_millilitres_where_the_spacing_is_real(image, tmp_path):
    classifier, settings = (
        Classifier(["a", "b"], [0.0, 1.0]),
        {"spacing": {"real": False}, "familiarity": _familiar(0, 200)},
    )
    result = predict.run(_config(tmp_path, image[0], classifier, Unet(settings)))
    assert result["tumour_ml"] is None  # four slices of 1 x 1 x 1 mm: what is written where it is not known
    known = Unet({**settings, "spacing": {"real": True}})  # but that of the training volumes is
    result = predict.run(_config(tmp_path, image[0], classifier, known, overwrite=True))
    assert result["tumour_ml"] == pytest.approx(result["tumour_voxels"] / 1000)
    assert result["warnings"] == []
    nib.save(nib.Nifti1Image(image[1], np.diag([0.5, 2, 3, 1])), image[0])
    result = predict.run(_config(tmp_path, image[0], classifier, Unet(settings), overwrite=True))
    assert result["tumour_ml"] == pytest.approx(result["tumour_voxels"] * 3 / 1000)
    assert result["warnings"] == []


def test_volumes_unlike_the_training_ones_are_warned_of(image, tmp_path):
    unet = Unet(
        {"familiarity": {**_familiar(1000, 1010), "spacings": [[3.0] * 3] * 2}, "spacing": {"real": True}}, kept=0.8
    )
    result = predict.run(_config(tmp_path, image[0], Classifier(["a", "b"], [0.0, 1.0]), unet))
    assert result["tumour_ml"] is None
    intensities, *spacings, cut = result["warnings"]
    assert "intensities are distributed unlike those of the training volumes" in intensities
    assert len(spacings) == 3
    assert "20% of what is not background lies outside" in cut


def test_a_volume_without_a_tumour_is_warned_of(tmp_path, capsys):
    nib.save(
        nib.Nifti1Image(np.linspace(0, 90, 120, dtype=np.float32).reshape(SHAPE), np.eye(4)), tmp_path / "image.nii"
    )
    result = predict.run(_config(tmp_path, tmp_path / "image.nii", Classifier(["a", "b"], [0.0, 0.01])))
    assert result["tumour_voxels"] == 0
    warning = "no tumour was found; the class rests on features of slices without one"
    assert result["warnings"] == [warning] == json.loads((tmp_path / "result.json").read_text())["warnings"]
    assert capsys.readouterr().out.endswith(f"; {warning}\n")


def test_only_the_largest_part_is_kept(tmp_path):
    voxels = np.zeros(SHAPE, np.float32)
    voxels[0, 0, 0], voxels[3:5, 2:4, 1:3] = 150, 150
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "image.nii")
    for largest, count in ((True, 8), (False, 9)):
        unet = Unet({"largest_component": largest})
        config = _config(tmp_path, tmp_path / "image.nii", Classifier(["a", "b"], [0.0, 1.0]), unet, overwrite=True)
        assert predict.run(config)["tumour_voxels"] == count


class OfTwo(Unet):
    """Finds where both of two modalities are above 100."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 2], tf.float32, name="image")])
    def prepare(self, image):
        both = tf.reduce_min(image, -1, keepdims=True)
        full = tf.shape(image)[1:3]
        geometry = {"full": full, "box": tf.concat([[0, 0], full], 0), "scaled": full}
        return {"slices": both, "description": both[0, 0], "kept": self.kept, "settings": self.settings, **geometry}


def _reading(**changes):
    return {"reading": {"geometry": "refuse", "slice_axis": "axial", "spacing": [], **changes}}


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal", "auto"])
def test_slices_are_those_of_the_training_and_the_mask_is_that_of_the_file(plane, image, tmp_path):
    path, voxels = image
    nib.save(nib.Nifti1Image(voxels, np.diag([-5.0, 1, 1, 1])), path)  # sagittal
    unet = Unet(_reading(slice_axis=plane))
    result = predict.run(_config(tmp_path, path, Classifier(["a", "b"], [0.0, 0.01]), unet))
    np.testing.assert_array_equal(nib.load(tmp_path / "mask.nii.gz").dataobj, voxels > 100)
    axis = {"axial": 2, "coronal": 1, "sagittal": 0, "auto": 0}[plane]
    means = np.moveaxis(voxels, axis, 0).reshape(SHAPE[axis], -1).mean(1)
    means = means[::-1] if axis == 0 else means  # left first; the file begins at the right
    np.testing.assert_allclose(result["probability_by_slice"]["b"], 1 / (1 + np.exp(-0.01 * means)), rtol=1e-4)


def test_a_new_volume_is_brought_to_the_spacing_of_the_training(tmp_path):
    """The mask and its volume are those of the file: a half of 12 x 10 x 8 voxels of 0.5 x 0.5 x 2 mm."""
    voxels = np.zeros((12, 10, 8), np.float32)
    voxels[:6] = 200
    nib.save(nib.Nifti1Image(voxels, np.diag([0.5, 0.5, 2, 1])), tmp_path / "image.nii")
    unet = Unet(_reading(spacing=[1.0, 1.0, 1.0]))
    result = predict.run(_config(tmp_path, tmp_path / "image.nii", Classifier(["a", "b"], [0.0, 1.0]), unet))
    assert len(result["probability_by_slice"]["a"]) == 16
    mask = nib.load(tmp_path / "mask.nii.gz")
    np.testing.assert_allclose(mask.affine, np.diag([0.5, 0.5, 2, 1]))
    np.testing.assert_array_equal(mask.dataobj, voxels > 100)
    assert result["tumour_voxels"] == 480
    assert result["tumour_ml"] == pytest.approx(480 * 0.5 / 1000)


def test_modalities_must_lie_in_the_same_place(image, tmp_path):
    path, voxels = image
    affine = np.eye(4)
    affine[0, 3] = 2.0
    other = tmp_path / "other.nii"
    nib.save(nib.Nifti1Image(voxels, affine), other)
    classifier, unet = Classifier(["a", "b"], [0.0, 1.0]), OfTwo(_reading())
    config = dataclasses.replace(_config(tmp_path, path, classifier, unet), image=(str(path), str(other)))
    words = r"--image: .*other.nii is not in the place of .*up to 2 mm .*--geometry=resample"
    with pytest.raises(InputError, match=words) as caught:
        predict.run(config)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "mask.nii.gz").exists()
    result = predict.run(dataclasses.replace(config, geometry="voxels"))
    assert any(
        line.startswith("other.nii taken by its voxels, by its header corners 2 mm") for line in result["warnings"]
    )
    np.testing.assert_array_equal(nib.load(config.mask).dataobj, voxels > 100)
    shifted = np.full_like(voxels, voxels.min())
    shifted[2:] = voxels[:-2]  # what the other file has 2 mm to the left
    for model, geometry in ((unet, "resample"), (OfTwo(_reading(geometry="resample")), "auto")):
        again = _config(tmp_path, path, classifier, model, overwrite=True, geometry=geometry)
        predict.run(dataclasses.replace(again, image=config.image))
        np.testing.assert_array_equal(nib.load(config.mask).dataobj, np.minimum(voxels, shifted) > 100)


def test_a_volume_of_unknown_orientation_is_warned_of(image, tmp_path):
    path, voxels = image
    nib.save(nib.Nifti1Image(voxels, None), path)
    result = predict.run(_config(tmp_path, path, Classifier(["a", "b"], [0.0, 1.0])))
    (warning,) = result["warnings"]
    assert "the header of image.nii, its axes read as LAS, does not say how it lies" in warning


def test_a_name_that_differs_in_case_alone_does_not_overwrite_the_image(image, tmp_path):
    """Where the file system takes both for one; a second name of the file stands for that here."""
    other = tmp_path / "IMAGE.nii"
    os.link(image[0], other)
    config = predict.Config(model_dir=str(tmp_path), image=(str(image[0]),), mask=str(other), overwrite=True)
    with pytest.raises(InputError, match="also --image"):
        predict._check_outputs(config)
    predict._check_outputs(dataclasses.replace(config, mask=str(tmp_path / "other.nii")))
