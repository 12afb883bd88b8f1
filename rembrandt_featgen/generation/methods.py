"""The table of methods that make samples."""

from __future__ import annotations

from rembrandt_featgen.generation.gaussian import Gaussian
from rembrandt_featgen.generation.resampling import Extrapolation, GaussianNoise, Interpolation, RandomOversampling
from rembrandt_featgen.generation.sampling_method import Method
from rembrandt_featgen.generation.smote import BorderlineSmote, Smote

# By the name of the arm, with the settings of their papers; tests/generation/conformance.py holds for each.
METHODS: dict[str, Method] = {
    "random_oversampling": RandomOversampling(),
    "smote": Smote(),
    "borderline_smote": BorderlineSmote(),
    "gaussian_noise": GaussianNoise(),
    "interpolation": Interpolation(),
    "extrapolation": Extrapolation(),
    "gaussian": Gaussian(),
}
