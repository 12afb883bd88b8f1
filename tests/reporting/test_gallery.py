from types import SimpleNamespace

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.interpretation import network_outputs
from rembrandt_featgen.reporting import gallery, paper_figures

CLASSES = Classes.of(("benign", "malignant"))


def test_every_figure_of_the_paper_and_one_of_each_generator_of_slices():
    run = SimpleNamespace(classes=CLASSES)
    figures = gallery.figures_of_run(run, steps=1, generators_of_slices={"image_acgan": "folder"})
    assert list(figures) == [
        *(f"figure_{number:02}" for number in range(3, 12)),
        "figure_grad_cam",
        "figure_activation_maximisation",
        "figure_image_acgan",
    ]


def test_the_positive_class_has_figure_9():
    assert gallery.numbers_of_classes(CLASSES.positive_first) == {"malignant": 9, "benign": 10}
    run = SimpleNamespace(
        classes=CLASSES, typical=lambda split, name: np.ones((2, 2, 30)) if name == "benign" else None
    )
    figures = gallery.figures_of_run(run, steps=1, generators_of_slices={})
    assert figures["figure_09"]().caption == "No synthetic malignant feature was accepted."
    assert figures["figure_10"]().caption.startswith("Fig. 10: the same channels of a real and a synthetic benign")


def test_augmentations_are_those_of_the_run(monkeypatch):
    given = {}
    monkeypatch.setattr(
        gallery.samples, "augmented", lambda *args, **more: given.update(more) or (np.zeros((3, 4, 4, 1)), [], [])
    )
    monkeypatch.setattr(paper_figures, "augmentations", lambda *args, **more: given.update(more))
    slices = SimpleNamespace(images=np.zeros((1, 4, 4, 1)), masks=np.zeros((1, 4, 4)))
    settings = {"augmentation": "reference", "augment": False}
    run = SimpleNamespace(
        classes=CLASSES, seed=5, slices=lambda split, most: slices, records={"train_unet": {"config": settings}}
    )
    gallery.figures_of_run(run, steps=1, generators_of_slices={})["figure_05"]()
    assert given == {"seed": 5, "augmentation": "reference", "in_use": False, "mode": "reference"}


def test_generators_of_slices_are_drawn_from_their_own_folder(monkeypatch):
    given = []
    monkeypatch.setattr(network_outputs, "generate_slices", lambda *args: given.append(args[1:]) or {})
    monkeypatch.setattr(paper_figures, "generated_slices", lambda rows, kind: (rows, kind))
    run = SimpleNamespace(classes=CLASSES)
    figures = gallery.figures_of_run(run, steps=1, generators_of_slices={"image_acgan": "folder"})
    assert figures["figure_image_acgan"]() == ({}, "image_acgan")
    assert given == [("folder",)]
