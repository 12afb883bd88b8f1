"""The U-Net of a final model: exported with what makes features, and copies of its patients recognised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.cohort import duplicates
from rembrandt_featgen.core import array_files, remarks, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.preparation import Preparation
from rembrandt_featgen.features import encoders
from rembrandt_featgen.nn import saved_models
from rembrandt_featgen.segmentation import unet_export, weight_records
from rembrandt_featgen.segmentation.unet import tap_model

UNET, FINGERPRINTS = "unet", "fingerprints.npz"


def write(folder: Path, home: Path, modalities: Sequence[str], *, maps: bool) -> dict:
    """Exports the U-Net of a run, and writes fingerprints of all patients whom it has seen.

    Args:
      folder: that gets unet/ and fingerprints.npz.
      home: the run, whose features are extracted.
      modalities: in the order of the channels.
      maps: whether features are maps of slices, else vectors of patients.

    Returns:
      For model.json: "maps", of what tap, or "vectors", settings of `patient_vectors`.
    """
    stage = "extract_features" if maps else "extract_vectors"
    found = {name: rundir.find(home, name) for name in ("prepare_slices", "train_unet", stage)}
    figures, trained = found["prepare_slices"].record["figures"], found["train_unet"].record["config"]
    extracted = found[stage].record
    unet = unet_export.restore_unet(
        found["train_unet"].folder, config=trained, slices=found["prepare_slices"].record, precision="float32"
    )
    taps = [] if maps else extracted["config"]["vector_taps"]
    module, signatures = unet_export.segmenter(
        unet,
        encoders.encoder(unet, found[stage].folder) if maps else tap_model(unet, taps[0]),
        preparation=Preparation.of_record(figures["preparation"]),
        modalities=modalities,
        mirrors=trained["mirrored_inference"],
        settings={
            "largest_component": trained["largest_component"],
            "spacing": figures["spacing"],
            "familiarity": figures["familiarity"],
            "reading": figures.get("reading"),
        },
        taps=[] if maps or extracted["config"]["vectors"] == "numbers" else taps,
    )
    with remarks.errors_alone():
        saved_models.save(module, folder / UNET, signatures)
    seen = weight_records.read_record(found["train_unet"].folder / "best.npz")
    if seen is None:
        raise InputError(
            f"{found['train_unet'].folder} has no record of the patients whom its U-Net has seen, as of another "
            "version of this program; delete it to train it again"
        )
    alike = seen.fingerprints[seen.modalities == modalities[0]]  # what --unet_weights have seen may be of another
    np.savez_compressed(folder / FINGERPRINTS, fingerprints=alike.astype(np.float16))
    if maps:
        return {"maps": {name: extracted["figures"][name] for name in ("tap", "shape")}, "modalities": list(modalities)}
    return {
        "vectors": {
            "vectors": extracted["config"]["vectors"],
            "taps": taps,
            "modalities": list(modalities),
            "in_mm": figures["spacing"]["real"],
            "mirrors": trained["mirrored_inference"],
            "largest_component": trained["largest_component"],
        },
        "modalities": list(modalities),
    }


def read_fingerprints(folder: str | Path) -> np.ndarray:
    """[patients, d] float32 of those whom the model has seen."""
    path = Path(folder) / FINGERPRINTS
    try:
        fingerprints = array_files.read_npz(path)["fingerprints"]
        if fingerprints.ndim != 2 or fingerprints.dtype.kind != "f":
            raise ValueError("its fingerprints are no table of numbers")
    except (ValueError, KeyError) as error:
        raise InputError(f"{path} is missing or damaged; copy the folder of the model again") from error
    return fingerprints.astype(np.float32)


def refuse_copies(fingerprints: Mapping[str, np.ndarray], seen: np.ndarray, where: str) -> None:
    """InputError where a patient's volume is that of one whom the model has seen, under any name.

    Args:
      fingerprints: patient id to that of `volume_vectors.vector_of`.
      seen: of `read_fingerprints`.
      where: flag and cohort, for messages.
    """
    names = list(fingerprints)
    alike = np.stack([fingerprints[name] for name in names]) @ seen.T > duplicates.THRESHOLD
    copies = [name for name, row in zip(names, alike) if row.any()]
    if copies:
        raise InputError(
            f"{where}: the volume{'s' * (len(copies) > 1)} of {', '.join(copies[:5])} "
            f"{'are' if len(copies) > 1 else 'is'} in the study that made the model, maybe under another name; a test "
            "on them says nothing: leave them out"
        )
