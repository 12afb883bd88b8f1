"""Measures what cross-fitting does to patient vectors: test AUROC, and how far training patients are from test ones.

Of runs whose U-Nets were trained with --cross_fit: the same U-Net, its vectors of training patients once by itself and
once by the U-Nets that never saw them. What it showed is in rembrandt_featgen/features/README.md.

for seed in 1 2 3; do python -m rembrandt_featgen.stages.pipeline --run_dir=runs/cross$seed --seed=$seed --cross_fit=3 \
    --last_stage=train_unet --cohort=phantom ...; done
python tools/probe_cross_fit.py --run_dirs=runs/cross1,runs/cross2,runs/cross3
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rembrandt_featgen.core import cli, json_files, registry, rundir
from rembrandt_featgen.evaluation import predictions
from rembrandt_featgen.features.run_tables import table_of_run
from rembrandt_featgen.measures.fidelity import frechet_distance
from rembrandt_featgen.stages import evaluate_features, extract_vectors

COLUMNS = {
    "auroc": "test AUROC",
    "difference": "mean difference",
    "frechet": "Frechet distance",
    "spread": "spread",
    "telling_apart": "told apart",
    "separation": "classes apart",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the tool."""

    run_dirs: tuple[str, ...] = cli.flag((), "Runs with a U-Net trained with --cross_fit.", required=True)
    vectors: str = cli.flag("taps", "As in extract_vectors.", choices=("taps", "numbers", "both"))


def run(config: Config) -> None:
    """Prints a Markdown table of means over the runs; vectors are kept in RUN/probe_cross_fit."""
    rows: dict[str, list[dict[str, float]]] = {"by the one U-Net": [], "cross-fitted": []}
    for run_dir in config.run_dirs:
        for name, cross_fit in zip(rows, (False, True)):
            rows[name].append(measure(_made(Path(run_dir), cross_fit=cross_fit, vectors=config.vectors)))
    print(f"| training patients' vectors | {' | '.join(COLUMNS.values())} |\n|{'---|' * (len(COLUMNS) + 1)}")
    for name, measured in rows.items():
        values = [f"{np.mean([one[column] for one in measured]):.3f}" for column in COLUMNS]
        print(f"| {name} | {' | '.join(values)} |")
    print("test AUROC by run:", {name: [round(one["auroc"], 3) for one in of] for name, of in rows.items()})


def _made(run_dir: Path, *, cross_fit: bool, vectors: str) -> Path:
    """A copy of the run whose vectors are cross-fitted or not, and a study of them."""
    copy = run_dir / "probe_cross_fit" / f"{vectors}_{'with' if cross_fit else 'without'}"
    if not (copy / "study").is_dir():
        shutil.rmtree(copy, ignore_errors=True)
        for name in ("prepare_slices", "train_unet"):
            shutil.copytree(run_dir / registry.folder(name), copy / registry.folder(name))
        path = copy / registry.folder("train_unet") / rundir.RECORD
        record = json_files.read_json(path)
        if not cross_fit:
            json_files.write_json(path, record | {"figures": record["figures"] | {"part_of": {}}})
        extract_vectors.run(extract_vectors.Config(str(copy), vectors=vectors))
        evaluate_features.run(evaluate_features.Config(str(copy), arms=("none",), classifiers=("ridge",)))
    return copy


def measure(run_dir: Path) -> dict[str, float]:
    """What is known of a run's vectors.

    auroc: of the run's ridge, on its test patients. The others are of training against test patients, with columns
    standardised by the latter: mean absolute difference of columns; Frechet distance of ten principal components;
    geometric mean of the columns' ratios of deviations; AUROC of ridge that tells the two apart, cross-validated (0.5
    where they are alike); and AUROC on training patients of a ridge that learnt the classes from test patients, less
    its cross-validated one on these (above 0 where training patients are easier than they should be).
    """
    train, test = (table_of_run(run_dir, "extract_vectors", split) for split in ("train", "test"))
    filled = np.nanmedian(test.values, axis=0)
    values = [np.where(np.isnan(table.values), filled, table.values) for table in (train, test)]
    scaler = StandardScaler().fit(values[1])
    a, b = (scaler.transform(part) for part in values)
    components = PCA(10, random_state=0).fit(b)
    split = np.repeat([1, 0], [len(a), len(b)])
    judge = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=3000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    apart = cross_val_predict(judge, np.concatenate([a, b]), split, cv=folds, method="decision_function")
    ridge = LogisticRegressionCV(Cs=np.logspace(-5, 0, 6), cv=5, scoring="neg_log_loss", max_iter=3000)
    inside = cross_val_predict(ridge, b, test.labels, cv=folds, method="decision_function")
    table = predictions.read(run_dir / registry.folder("evaluate_features") / predictions.FILE)
    return {
        "auroc": roc_auc_score(table.label, table.probabilities[:, 1]),
        "difference": float(np.abs(a.mean(0) - b.mean(0)).mean()),
        "frechet": frechet_distance(components.transform(a), components.transform(b)),
        "spread": float(np.exp(np.log(np.maximum(a.std(0), 1e-3) / np.maximum(b.std(0), 1e-3)).mean())),
        "telling_apart": roc_auc_score(split, apart),
        "separation": roc_auc_score(train.labels, ridge.fit(b, test.labels).decision_function(a))
        - roc_auc_score(test.labels, inside),
    }


if __name__ == "__main__":
    cli.main(Config, run, about=__doc__)
