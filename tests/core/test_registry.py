import importlib

import pytest

from rembrandt_featgen.core import registry


def test_every_stage_has_a_module_and_inputs_that_are_stages():
    for name, stage in registry.STAGES.items():
        assert stage.name == name
        module = importlib.import_module(stage.module)
        assert callable(module.run)
        assert set(stage.inputs) <= set(registry.STAGES) - {name}
    assert {*registry.RUN, *registry.STUDY, *registry.ON_REQUEST} == set(registry.STAGES)
    for name in registry.RUNNERS:
        importlib.import_module(f"{registry.PACKAGE}.{name}")


@pytest.mark.parametrize("names", [registry.RUN, registry.STUDY])
def test_inputs_run_before(names):
    for number, name in enumerate(names):
        later = set(names[number:])
        # the sweep's stages are of other runs; a study learns its folds between its own stages
        assert not later & set(registry.STAGES[name].inputs)


def test_folders_differ():
    folders = [stage.folder for stage in registry.STAGES.values()]
    twice = {folder for folder in folders if folders.count(folder) > 1}
    assert twice == {"report"}  # of a run and of a study, which have folders of their own


def test_folder_of_a_kind():
    assert registry.folder("train_unet") == "unet"
    assert registry.folder("generate_synthetic", "cgan") == "synthetic_cgan"
    with pytest.raises(ValueError, match="name the kind"):
        registry.folder("train_generators")
    with pytest.raises(ValueError, match="stage must be one of make_phantom, .*received 'finetune'"):
        registry.folder("finetune")
