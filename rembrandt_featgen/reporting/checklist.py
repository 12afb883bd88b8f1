"""The CLAIM and TRIPOD+AI reporting checklists, filled in from the records of a study.

Titles are short and in words of ours; the lists themselves say what each item asks for:
- CLAIM: Mongan, Moy and Kahn 2020, Radiol Artif Intell 2(2):e200029; 2024 update, whose numbers are used here: Tejani
  et al. 2024, Radiol Artif Intell 6(4):e240300.
- TRIPOD+AI: Collins et al. 2024, BMJ 385:e078378.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rembrandt_featgen.reporting import checklist_answers, checklist_results, checklist_tables, records

CLAIM_SOURCE = (
    "CLAIM, Checklist for Artificial Intelligence in Medical Imaging: Mongan, Moy and Kahn, Radiol Artif Intell 2020; "
    "2(2):e200029, as updated by Tejani et al., Radiol Artif Intell 2024; 6(4):e240300 (44 items)"
)
TRIPOD_SOURCE = (
    "TRIPOD+AI, for prediction models that use regression or machine learning: Collins et al., BMJ 2024; 385:e078378 "
    "(27 items, here by their parts)"
)


class Item(NamedTuple):
    """An item of a checklist with its answer."""

    number: str
    section: str
    title: str
    status: str  # one of checklist_answers.STATUSES
    answer: str


def claim(report: Mapping) -> list[Item]:
    """The 44 items of CLAIM (2024) for a study's report.json, of which any key may be missing."""
    return _filled(_CLAIM, report)


def tripod(report: Mapping) -> list[Item]:
    """The 52 parts of the 27 items of TRIPOD+AI (2024) for a study's report.json; any key of it may be missing."""
    return _filled(_TRIPOD, report)


def _filled(items: tuple, report: Mapping) -> list[Item]:
    answers = {
        **checklist_answers.by_authors(),
        **checklist_answers.of_data(report),
        **checklist_answers.of_design(report),
        **checklist_results.of_model(report),
        **checklist_results.of_evaluation(report),
        **checklist_results.of_results(report),
        **(checklist_tables.of_table(report) if records.made_elsewhere(report) else {}),
    }
    return [
        Item(number=number, section=section, title=title, status=answers[key].status, answer=answers[key].text)
        for section, members in items
        for number, title, key in members
    ]


# Section, then number, title and the answer's key of each item.
_CLAIM = (
    ("Title and abstract", (("1", "AI method named in the title", "title"), ("2", "Structured abstract", "abstract"))),
    ("Introduction", (("3", "Background and intended role", "background"), ("4", "Aims and hypotheses", "aims"))),
    ("Study design", (("5", "Prospective or retrospective", "design"), ("6", "Goal of the study", "goal"))),
    (
        "Data",
        (
            ("7", "Where the data come from", "source"),
            ("8", "Who was included", "eligibility"),
            ("9", "Preprocessing", "preprocessing"),
            ("10", "Parts of the data used", "subset"),
            ("11", "De-identification", "deidentification"),
            ("12", "Missing data", "missing"),
            ("13", "Imaging protocol", "acquisition"),
        ),
    ),
    (
        "Reference standard",
        (
            ("14", "How it was obtained", "outcome"),
            ("15", "Why this one", "outcome_reason"),
            ("16", "Who annotated", "annotators"),
            ("17", "Annotation of the test set", "test_annotation"),
            ("18", "Agreement of raters", "raters"),
        ),
    ),
    (
        "Partitions and testing data",
        (
            ("19", "How patients were assigned", "partitions"),
            ("20", "Level of separation", "level"),
            ("21", "Intended sample size", "sample_size"),
        ),
    ),
    (
        "Model",
        (
            ("22", "Description of the model", "model"),
            ("23", "Software", "software"),
            ("24", "Initial weights", "initialisation"),
        ),
    ),
    (
        "Training",
        (
            ("25", "How it was trained", "training"),
            ("26", "How the final model was chosen", "selection"),
            ("27", "Ensembles", "ensembles"),
        ),
    ),
    (
        "Evaluation",
        (
            ("28", "Measures of performance", "measures"),
            ("29", "Significance and uncertainty", "statistics"),
            ("30", "Robustness and sensitivity", "robustness"),
            ("31", "Explainability", "explainability"),
            ("32", "Internal evaluation", "internal"),
            ("33", "External testing", "external"),
            ("34", "Registration as a trial", "trial"),
        ),
    ),
    (
        "Results: data",
        (("35", "Included and excluded", "flow"), ("36", "Characteristics by partition", "characteristics")),
    ),
    (
        "Results: performance",
        (
            ("37", "Performance with uncertainty", "performance"),
            ("38", "Diagnostic performance", "diagnostic"),
            ("39", "Analysis of failures", "failures"),
        ),
    ),
    ("Discussion", (("40", "Limitations", "limitations"), ("41", "Implications for practice", "implications"))),
    (
        "Other",
        (
            ("42", "Protocol and technical details", "protocol"),
            ("43", "Availability of software, models, data", "availability"),
            ("44", "Funding", "funding"),
        ),
    ),
)
_TRIPOD = (
    (
        "Title and abstract",
        (("1", "Model and outcome in the title", "title"), ("2", "Abstract", "abstract")),
    ),
    (
        "Introduction",
        (
            ("3a", "Healthcare context", "background"),
            ("3b", "Target population and intended use", "population"),
            ("3c", "Known health inequalities", "inequalities"),
            ("4", "Objectives", "aims"),
        ),
    ),
    (
        "Methods: data and participants",
        (
            ("5a", "Sources of data", "source"),
            ("5b", "Dates", "dates"),
            ("6a", "Setting and centres", "setting"),
            ("6b", "Eligibility", "eligibility"),
            ("6c", "Treatments received", "treatments"),
            ("7", "Preparation and quality checks", "preprocessing"),
        ),
    ),
    (
        "Methods: outcome and predictors",
        (
            ("8a", "Outcome", "outcome"),
            ("8b", "Who assessed it", "annotators"),
            ("8c", "Blinding of its assessment", "blinding"),
            ("9a", "Choice of predictors", "predictors"),
            ("9b", "Definition of predictors", "predictors_defined"),
            ("9c", "Who assessed the predictors", "predictor_assessors"),
            ("10", "Sample size", "sample_size"),
            ("11", "Missing data", "missing"),
        ),
    ),
    (
        "Methods: analysis",
        (
            ("12a", "Use of the data", "partitions"),
            ("12b", "Handling of predictors", "predictor_handling"),
            ("12c", "Type of model, tuning, internal validation", "model"),
            ("12d", "Differences between clusters", "clusters"),
            ("12e", "Measures and plots", "measures"),
            ("12f", "Updating of the model", "updating"),
            ("12g", "How predictions were computed", "predictions"),
            ("13", "Class imbalance", "imbalance"),
            ("14", "Fairness", "fairness"),
            ("15", "Output and thresholds", "output"),
            ("16", "Training versus evaluation data", "difference_of_data"),
            ("17", "Ethical approval", "ethics"),
        ),
    ),
    (
        "Open science",
        (
            ("18a", "Funding", "funding"),
            ("18b", "Conflicts of interest", "conflicts"),
            ("18c", "Protocol", "protocol"),
            ("18d", "Registration", "registration"),
            ("18e", "Data sharing", "data_sharing"),
            ("18f", "Code sharing", "code_sharing"),
            ("19", "Patient and public involvement", "involvement"),
        ),
    ),
    (
        "Results",
        (
            ("20a", "Flow of participants", "flow"),
            ("20b", "Characteristics of participants", "characteristics"),
            ("20c", "Comparison with the development data", "comparison_of_data"),
            ("21", "Participants in each analysis", "numbers"),
            ("22", "Full specification of the model", "specification"),
            ("23a", "Performance with intervals, subgroups", "performance"),
            ("23b", "Performance between clusters", "cluster_results"),
            ("24", "Results of updating", "updating"),
        ),
    ),
    (
        "Discussion",
        (
            ("25", "Interpretation", "interpretation"),
            ("26", "Limitations", "limitations"),
            ("27a", "Poor or missing input", "poor_input"),
            ("27b", "What users must do", "users"),
            ("27c", "Next steps", "next_steps"),
        ),
    ),
)
