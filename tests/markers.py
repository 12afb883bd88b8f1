"""Strings that tests plant where a file names a patient, and a search for them in all that a run leaves."""

import gzip
import io
import zipfile
from pathlib import Path

import nibabel as nib
import pandas as pd

# Of a header, each short enough for its field.
HEADER = {
    "descrip": "Quillfeather^Zyxomma 1931.07.19",
    "aux_file": "harrowgate.ref",
    "intent_name": "Ulverscroft",
    "db_name": "Oswaldkirk MRN",
}
EXTENSIONS = {"comment": "referred by Dr Thistlewhit", "dicom": "Lowther-Pinkerton"}
WORDS = ("Quillfeather", "Zyxomma", "1931.07.19", "harrowgate", "Ulverscroft", "Oswaldkirk", "Thistlewhit", "Lowther-")


def plant_nifti(source, target):
    """Writes a NIfTI file again, with all that a header can say besides."""
    image = nib.load(source)
    image = nib.Nifti1Image(image.get_fdata(), image.affine, image.header, dtype=image.get_data_dtype())
    for name, text in HEADER.items():
        image.header[name] = text.encode()
    image.header["cal_max"], image.header["toffset"] = 193107, 1931.0719
    for kind, text in EXTENSIONS.items():
        image.header.extensions.append(nib.nifti1.Nifti1Extension(kind if kind == "comment" else 0, text.encode()))
    nib.save(image, target)
    return target


def found(folder, words):
    """(path, word) of each word in a name or the bytes of a file, in any case, of 8, 16 or 32 bits, also packed."""
    codes = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")
    forms = {word: [word.lower().encode(code) for code in codes] for word in words}
    hits = set()
    for path in sorted(Path(folder).rglob("*")):
        contents = [str(path.relative_to(folder)).encode()]
        if path.is_file():
            contents += _unpacked(path.name, path.read_bytes())
        for content in contents:
            lower = content.lower()
            hits |= {(path, word) for word, these in forms.items() if any(form in lower for form in these)}
    return sorted(hits)


def _unpacked(name, data):
    """The bytes as they are, and what is packed within."""
    yield data
    if data[:2] == b"\x1f\x8b":
        yield from _unpacked(name, gzip.decompress(data))
    elif data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            for member in file.namelist():
                yield member.encode()
                yield from _unpacked(member, file.read(member))
    elif data[:4] == b"PAR1":
        yield pd.read_parquet(io.BytesIO(data)).to_csv().encode()
        yield str(pd.read_parquet(io.BytesIO(data)).attrs).encode()
