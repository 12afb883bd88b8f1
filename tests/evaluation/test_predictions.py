import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import predictions
from rembrandt_featgen.evaluation.predictions import Samples
from rembrandt_featgen.measures.decisions import even, two_columns
from tests.evaluation import simulated

CLASSES = Classes.of(("benign", "malignant"))
THREE = Classes.of(("glioma", "meningioma", "pituitary"))


def same(found, wanted):
    assert found.classes == wanted.classes
    for name in predictions.COLUMNS:
        one, other = getattr(found, name), getattr(wanted, name)
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, err_msg=name)


def of_three(n=7, **more):
    generator = np.random.default_rng(0)
    samples = Samples(
        np.array([f"P{i // 2}" for i in range(n)]),
        np.arange(n) % 2,
        np.arange(n) % 3,
        groups=np.array([f"G{i // 4}" for i in range(n)]),
        sites=np.array(["A, north", '"B"'] * n)[:n],
    )
    p = generator.dirichlet(np.ones(3), n)
    settings = {"arm": "smote", "kind": "classical", "classifier": "mlp", "thresholds": [0.6, 0.3, 0.1], **more}
    return predictions.rows(samples, p, classes=THREE, **settings)


def test_two_classes_survive_the_file(tmp_path):
    table = simulated.predictions(
        "smote", [0.25, 1 / 3], [0, 1], kind="classical", threshold=0.4, slices=2, chosen=False, amount="0.5"
    )
    predictions.write(tmp_path / "p.csv", table)
    same(predictions.read(tmp_path / "p.csv"), table)


def test_three_classes_survive_the_file_to_the_last_digit(tmp_path):
    table = predictions.join(
        [of_three(plan="few-shot", draw=3, fold="0", seed=9), of_three(arm="none", amount="1", chosen=False)]
    )
    predictions.write(tmp_path / "p.csv", table)
    same(predictions.read(tmp_path / "p.csv"), table)
    header = (tmp_path / "p.csv").read_text().splitlines()[0].split(",")
    assert header[:4] == ["plan", "draw", "fold", "seed"]
    assert header[-6:] == [f"{start}{name}" for start in ("threshold_", "p_") for name in THREE.names]


def test_columns_and_digits(tmp_path):
    samples = Samples(np.array(["A"]), np.array([7]), np.array([1]))
    table = predictions.rows(
        samples,
        two_columns([2 / 3]),
        classes=CLASSES,
        arm="baseline",
        kind="none",
        classifier="cnn",
        validation_loss=0.1,
        seed=4,
    )
    predictions.write(tmp_path / "p.csv", table)
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "plan,draw,fold,seed,patient,group,site,sample,label,arm,kind,amount,classifier,chosen,validation_loss,"
        "threshold,p_benign,p_malignant",
        "hold-out,0,0,4,A,A,,7,malignant,baseline,none,,cnn,1,0.1,0.5,0.33333333333333337,0.6666666666666666",
    ]
    read = predictions.read(tmp_path / "p.csv")
    assert (read.label[0], read.probabilities[0, 1], read.thresholds.tolist()) == (1, 2 / 3, [[0.5, 0.5]])


def test_an_empty_table_survives_the_file(tmp_path):
    table = of_three().take(np.zeros(7, bool))
    predictions.write(tmp_path / "p.csv", table)
    found = predictions.read(tmp_path / "p.csv")
    assert (len(found), found.probabilities.shape, found.classes) == (0, (0, 3), THREE)


def test_select_and_split():
    table = predictions.join([of_three(), of_three(arm="none", seed=1), of_three(seed=2)])
    assert len(table.select(arm="smote")) == 14
    assert table.select(arm="smote", seed=2, patient="P1").sample.tolist() == [0, 1]
    parts = dict(table.split("arm", "seed"))
    assert list(parts) == [("smote", 0), ("none", 1), ("smote", 2)]
    same(parts["none", 1], of_three(arm="none", seed=1))


def test_columns_are_replaced_by_one_value_or_by_many():
    table = of_three().replace(fold="3", draw=2, patient=list("abcdefg"))
    assert set(table.fold) == {"3"} and set(table.draw) == {2}
    assert table.patient.tolist() == list("abcdefg")
    assert table.draw.dtype == np.int64


def test_what_is_left_out_has_defaults():
    samples = Samples(np.array(["A", "B"]), np.array([0, 1]), np.array([1, 0]))
    table = predictions.rows(samples, np.full((2, 3), 1 / 3), classes=THREE, arm="a", kind="none", classifier="cnn")
    assert table.group.tolist() == ["A", "B"]
    assert table.site.tolist() == ["", ""]
    assert set(table.plan) == {"hold-out"}
    assert np.isnan(table.validation_loss).all()
    np.testing.assert_array_equal(table.thresholds[1], even(3))
    with pytest.raises(ValueError, match=r"give \[2, 3\]"):
        predictions.rows(samples, np.ones((2, 2)), classes=THREE, arm="a", kind="none", classifier="cnn")


def test_scores_are_of_patients_by_one_network(tmp_path):
    header = "patient,sample,label,arm,kind,amount,classifier,chosen,threshold,p_benign,p_malignant"
    rows = [
        "B,0,malignant,baseline,none,,cnn,1,0.5,0.2,0.8",
        "A,0,benign,baseline,none,,cnn,1,0.5,0.8,0.2",
        "B,1,malignant,baseline,none,,cnn,1,0.5,0.5,0.5",
        "A,0,benign,augmented,generative,,cnn,1,0.5,0.1,0.9",
    ]
    path = tmp_path / "predictions.csv"
    path.write_text("\n".join([header, *rows]))
    table = predictions.read(path)
    patients, labels, scores = table.select(arm="baseline", classifier="cnn").by_patient()
    assert patients.tolist() == ["A", "B"]
    assert labels.tolist() == [0, 1]
    np.testing.assert_allclose(scores[:, 1], [0.2, 2 / 3])  # log-odds (ln 4 + 0) / 2 = ln 2
    assert table.group.tolist() == table.patient.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "patient,sample,label,arm,kind,amount,classifier,chosen,threshold,p_a,p_b\nA,0,c,x,none,,cnn,1,0.5,0.5,0.5\n",
        "patient,sample,label,p_a,p_b\nA,0,a,0.5,0.5\n",
        "patient,label\nA,b\n",
        "",
    ],
)
def test_what_is_no_table_is_refused(text, tmp_path):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(InputError, match="p.csv"):
        predictions.read(tmp_path / "p.csv")
