"""What the names of arms mean, and other words of a study's page, each in a line."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.reporting import records

ARMS = {
    "none": "real samples alone, with tuned regularisation and a chosen threshold: what the others have to beat",
    "plain": "real samples alone, with neither",
    "weight_decay": "real samples alone, with tuned regularisation and no chosen threshold",
    "threshold_tuning": "real samples alone, with a chosen threshold and no tuned regularisation",
    "covariates": "clinical columns alone",
    "features_and_covariates": "clinical columns beside the features",
    "class_weights": "each class weighs the same",
    "focal_loss": "a loss that minds samples the less, the surer they are",
    "undersampling": "samples of frequent classes left out",
    "mixup": "mixtures of pairs of samples, and of their classes",
    "manifold_mixup": "the same of what a network has in between",
    "random_oversampling": "samples of rare classes again",
    "smote": "points between a sample and a neighbour of its class",
    "borderline_smote": "the same of samples near other classes",
    "gaussian_noise": "copies of samples with noise",
    "interpolation": "points half way to a neighbour of the class",
    "extrapolation": "points as far away from it",
    "gaussian": "draws of a Gaussian of each class, covariances pooled over the classes",
    "kde": "samples moved and blurred, a kernel density of each class",
    "transfer": "the mean of the class and the deviation of a sample of another one",
    "calibration": "Gaussians about samples, with covariances of near classes",
    "wgan": "draws of a Wasserstein GAN of vectors",
    "cvae": "draws of a conditional variational autoencoder",
    "flow": "draws of a normalising flow",
    "diffusion": "draws of a diffusion model",
    "image_augmentation": "features of augmented images",
    "acgan": "feature maps of an auxiliary classifier GAN that the classifier of it accepts",
    "infogan": "feature maps of an InfoGAN that the classifier of it accepts",
    "cgan": "feature maps of a conditional GAN",
    "adcgan": "feature maps of a GAN whose classifier tells the real of a class from the generated",
    "image_acgan": "features of whole slices that an auxiliary classifier GAN made",
    "synthetic": "samples that somebody else's generator made",
    "oracle": "a control and no competitor: further real patients, what a perfect generator would add",
    "copy": "a control: as many copies of real samples",
    "shuffled": "a control: draws of a generator that was fitted to shuffled labels",
}


# Of the arms of `few_shots`, whose maps are accepted by a judge that learns from the same patients as the generator.
JUDGED = {
    name: f"feature maps of {what} that an independent judge accepts, a classifier of the same training patients"
    for name, what in {
        "acgan": "an auxiliary classifier GAN",
        "infogan": "an InfoGAN",
        "cgan": "a conditional GAN",
        "adcgan": "a GAN whose classifier tells the real of a class from the generated",
    }.items()
}


def glossary(report: Mapping) -> dict[str, str]:
    """Term to meaning, of the arms that stand on the page and of words for what was done; {} where no arm does."""
    names = dict.fromkeys(str(row.get("arm")) for row in records.arms(report))
    if not names:
        return {}
    amounts = any(row.get("amounts") for row in records.arms(report))
    one = "ridge/smote/1" if amounts else "ridge/smote"
    return {
        **{name: ARMS[name] for name in names if name in ARMS},
        "classifier/arm/amount": f"a pipeline, such as {one}"
        + (
            "; amount 0 brings each class up to the largest, 1 adds as many samples again as there are real ones"
            if amounts
            else ""
        ),
        "classifier@number": "a classifier whose regularisation is that number, not tuned",
        "draw": "a division of the patients anew, or training patients drawn anew",
        "training": "all that is learnt, learnt again: in another division, or by another seed",
        "task": "one fold of one training",
    }
