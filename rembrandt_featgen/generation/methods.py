"""The table of methods that make samples."""

from __future__ import annotations

from rembrandt_featgen.generation.cvae import Cvae
from rembrandt_featgen.generation.diffusion import Diffusion
from rembrandt_featgen.generation.distribution_calibration import Calibration
from rembrandt_featgen.generation.flow import Flow
from rembrandt_featgen.generation.gaussian import Gaussian
from rembrandt_featgen.generation.kde import Kde
from rembrandt_featgen.generation.resampling import Extrapolation, GaussianNoise, Interpolation, RandomOversampling
from rembrandt_featgen.generation.sampling_method import Method
from rembrandt_featgen.generation.smote import BorderlineSmote, Smote
from rembrandt_featgen.generation.transfer import Transfer
from rembrandt_featgen.generation.wgan import Wgan

# By the name of the arm, with the settings of their papers; tests/generation/conformance.py holds for each.
METHODS: dict[str, Method] = {
    "random_oversampling": RandomOversampling(),
    "smote": Smote(),
    "borderline_smote": BorderlineSmote(),
    "gaussian_noise": GaussianNoise(),
    "interpolation": Interpolation(),
    "extrapolation": Extrapolation(),
    "gaussian": Gaussian(),
    "kde": Kde(),
    "transfer": Transfer(),
    "calibration": Calibration(),
    "wgan": Wgan(),
    "cvae": Cvae(),
    "flow": Flow(),
    "diffusion": Diffusion(),
}
