import numpy as np
import pytest

from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.data.pipelines import AUGMENTATIONS
from rembrandt_featgen.features import augmented_vectors
from rembrandt_featgen.features.augmented_vectors import augmented_volume, copies_of_classes
from rembrandt_featgen.features.patient_vectors import Settings, patient_vectors, runner
from rembrandt_featgen.stages import prepare_slices
from tests.features.test_patient_vectors import network


def test_each_class_gets_as_many_copies_as_the_largest_or_a_few_more():
    labels = np.repeat([0, 1, 2], [9, 4, 3])
    assert copies_of_classes(labels, 2) == {0: 2, 1: 5, 2: 6}  # 18, 20 and 18 of each class


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_all_slices_of_a_volume_are_moved_alike(augmentation):
    random = np.random.default_rng(0)
    images = np.repeat(random.normal(size=(1, 32, 32, 2)).astype(np.float32), 5, axis=0)  # 5 slices, all the same
    changed = augmented_volume(images, augmentation, key=(0, 1))
    assert changed.shape == images.shape and changed.dtype == np.float32
    assert np.abs(changed - images).max() > 0.1
    if augmentation != "standard":  # whose noise is another one in each slice
        np.testing.assert_allclose(changed, np.broadcast_to(changed[:1], changed.shape), atol=1e-5)
    np.testing.assert_array_equal(changed, augmented_volume(images, augmentation, key=(0, 1)))
    assert np.abs(changed - augmented_volume(images, augmentation, key=(0, 2))).max() > 0.1


def test_copies_are_of_training_patients_alone_and_differ(tmp_path):
    cohort = phantom.write_phantom(tmp_path / "cohort", {"LGG": 3, "HGG": 5}, size=48, slices=3, difficulty=0)
    prepare_slices.run(prepare_slices.Config(str(tmp_path / "run"), str(cohort), image_size=48))
    slices, settings = tmp_path / "run" / "slices", Settings("numbers", (), modalities=("flair",), in_mm=True, batch=4)
    run = runner(network(1.0), settings)
    real = list(patient_vectors(run, slices, "train", settings=settings))
    given = {"settings": settings, "augmentation": "correct", "copies": 2, "seed": 0}
    made = list(augmented_vectors.augmented_vectors(run, slices, **given))
    for start in (3, len(made)):  # as after a kill
        assert list(augmented_vectors.augmented_vectors(run, slices, **given, start=start)) == made[start:]
    labels = [one.label for one in real]
    times = copies_of_classes(np.array(labels), 2)
    assert [one.patient for one in made] == [one.patient for one in real for _ in range(times[one.label])]
    assert all(list(one.numbers) == list(real[0].numbers) for one in made)
    names = [name for name in real[0].numbers if name.startswith("location")]
    assert len({tuple(one.numbers[name] for name in names) for one in made}) == len(made)
