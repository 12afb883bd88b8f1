from rembrandt_featgen.evaluation import arms
from rembrandt_featgen.reporting import arm_words, study_page
from tests.reporting import fake_study
from tests.reporting.pages import Page


def test_every_arm_has_its_words():
    assert set(arm_words.ARMS) == set(arms.ARMS)
    assert all(("control" in arm_words.ARMS[name]) == (arm.kind == "control") for name, arm in arms.ARMS.items())


def test_a_page_explains_the_names_that_stand_on_it():
    report = fake_study.make()
    found = arm_words.glossary(report)
    assert {"none", "smote", "gaussian", "draw", "training", "task"} < set(found) and "kde" not in found
    assert "amount 0 brings each class up to the largest" in found["classifier/arm/amount"]
    assert "smote : points between a sample and a neighbour of its class" in Page(study_page.render(report, {})).text
    for row in report["arms"]:
        row["amounts"] = {}
    assert arm_words.glossary(report)["classifier/arm/amount"] == "a pipeline, such as ridge/smote"
    assert arm_words.glossary({}) == {}
