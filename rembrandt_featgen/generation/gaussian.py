"""A generator of vectors: mean of the class + effect of the patient + noise of the sample, all of them Gaussian."""

from __future__ import annotations

import dataclasses

import numpy as np

from rembrandt_featgen.generation.sampling_method import FlatDraw, Method, RealSamples, stream
from rembrandt_featgen.generation.shrunk_covariance import Root, contrasts, shrunk_root

_CHUNK = 2**22  # normal numbers at a time


@dataclasses.dataclass(frozen=True)
class Gaussian(Method):
    """Draws new patients of a class from x = mean + patient effect + sample noise.

    The covariances between and within patients are pooled over the classes and shrunk, see `shrunk_covariance`. The
    mean of a class is that of its patients' means. Where each patient has one sample there is one covariance; where
    each class has one patient, only that within patients is known and the effect of patients is taken to be 0; one
    sample of each class gives that sample. A patient with samples of two classes counts as two. Unsigned draws are
    clipped at 0, which raises the mean of what is often 0: it suits vectors that are not sparse.

    Attributes:
      samples_per_patient: how many samples that follow each other are of the same new patient, from 1; at most as
        many as training patients have on (harmonic) average, since nothing is known of more. The distribution of each
        sample is the same for all numbers.
    """

    kind = "generative"
    nested = True  # but for the last bits, as matrix products of other sizes round otherwise

    samples_per_patient: int = 1

    def __post_init__(self):
        """Checks the settings."""
        if self.samples_per_patient < 1:
            raise ValueError(f"samples_per_patient must be from 1, received {self.samples_per_patient}")

    def fit_flat(self, real: RealSamples) -> FlatDraw:
        """Estimates means and covariances."""
        components = fit_components(real)
        most = int(1 / components.noise_of_mean + 1e-9) if components.noise_of_mean else self.samples_per_patient
        k = min(self.samples_per_patient, most)

        def draw(label: int, count: int, seed: int) -> np.ndarray:
            random = stream(seed, label)
            # Numbers come patient by patient, so that a greater count begins with what a smaller one held.
            normals_of_patient = components.between.normals + k * components.within.normals
            chunk, left = max(1, _CHUNK // max(1, normals_of_patient)), -(-count // k)
            parts = []
            while left:
                patients = min(chunk, left)
                normals = random.standard_normal((patients, normals_of_patient))
                parts.append((components.means[label] + components.deviations(normals, k)).astype(real.flat.dtype))
                left -= patients
            return np.concatenate(parts)[:count]

        return draw


@dataclasses.dataclass(frozen=True, eq=False)
class Components:
    """Estimates of the model.

    Attributes:
      means: label to mean [size] float64.
      between: root of the covariance B of patients' means, which holds noise of samples: B = between patients + h W.
      within: root of the covariance W of samples within a patient.
      noise_of_mean: h, the mean of 1 / (samples of a patient).
    """

    means: dict[int, np.ndarray]
    between: Root
    within: Root
    noise_of_mean: float

    def deviations(self, normals: np.ndarray, k: int) -> np.ndarray:
        """Deviations of k samples of each of some new patients from the mean of their class.

        The covariance between patients, B - h W, is not computed, as an estimate of it may have negative eigenvalues.
        Instead a mean of 1/h samples is drawn, and then k samples around it: each has B + (1 - h) W in all, two of a
        patient share B - h W. That holds for k up to 1/h.

        Args:
          normals: [patients, normals of B + k * normals of W] standard normal numbers.
          k: samples of a patient.

        Returns:
          [patients * k, size].
        """
        patients, size = len(normals), len(self.between.independent)
        means = self.between.draw(normals[:, : self.between.normals])
        noise = self.within.draw(normals[:, self.between.normals :].reshape(patients, k, -1))
        kept = np.sqrt(max(0.0, 1.0 - k * self.noise_of_mean))  # of the mean noise, the rest of which is in B
        noise -= (1.0 - kept) * noise.mean(axis=1, keepdims=True)
        return (means[:, None] + noise).reshape(patients * k, size)


def fit_components(real: RealSamples) -> Components:
    """Estimates means and covariances, see `Gaussian`."""
    within: list[np.ndarray] = []
    between: list[np.ndarray] = []
    noise_of_means: list[float] = []  # one for each row of `between`
    means = {}
    for label in np.unique(real.labels):
        of_class, groups = real.of(label), real.groups[real.labels == label]
        patients = [of_class[groups == group] for group in np.unique(groups)]
        of_patients = np.stack([patient.mean(axis=0, dtype=np.float64) for patient in patients])
        means[int(label)] = of_patients.mean(axis=0)
        within += [contrasts(patient) for patient in patients if len(patient) > 1]
        between.append(contrasts(of_patients))
        noise_of_means += [float(np.mean([1 / len(patient) for patient in patients]))] * (len(patients) - 1)
    level = np.sqrt(np.mean([mean**2 for mean in means.values()], axis=0))
    nothing = np.zeros((0, real.flat.shape[1]))
    return Components(
        means=means,
        between=shrunk_root(np.concatenate([nothing, *between]), level),
        within=shrunk_root(np.concatenate([nothing, *within]), level),
        noise_of_mean=float(np.mean(noise_of_means)) if noise_of_means else 0.0,
    )
