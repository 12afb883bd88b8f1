"""What is lost where synthetic patients are shared in place of real ones, and what they give away: a row for each
generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging
from scipy import stats

from rembrandt_featgen.evaluation import contrasts, sharing_games
from rembrandt_featgen.evaluation.sharing_games import REAL, Sharing
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.measures import bootstrap, differences, membership_inference, memorisation
from rembrandt_featgen.measures.membership_inference import Attack
from rembrandt_featgen.measures.memorisation import Memorisation

LEAKS, NOT_SHOWN = "shown to leak", "not shown"
COPIER = 0.2  # share of folds in which the audit may call a generator a copier that is none
RULE = (
    "Lost: AUROC per patient, out of fold, of a ridge of synthetic samples alone less that of one of real samples. "
    "Shown to leak: the lower end of the 95% interval of an attack's AUROC, of four attacks at once, is above 0.5, or "
    "the audit calls the generator a copier in more than 1 of 5 folds. 'not shown' is no proof: see the upper ends."
)


def sharing_report(
    table: FeatureTable,
    names: Sequence[str],
    *,
    sharing: Sharing,
    draws: int = 2000,
) -> dict:
    """What sharing.json holds.

    Args:
      table: of vectors.
      names: of generators, of `METHODS`.
      sharing: how they are judged.
      draws: of the bootstrap over groups.

    Raises:
      InputError: a class has too few groups for the folds, or for halves.
    """
    folds = sharing_games.trainings(table, sharing_games.folds_of(table, sharing))
    games = sharing_games.trainings(table, sharing_games.games_of(table, sharing))
    samples, audits, attacks = {}, {}, {}
    _, first = np.unique(table.patients, return_index=True)
    labels, groups = table.labels[first], table.groups[first]
    for name in names:
        logging.info("%s: trained %d times", name, len(folds) + len(games))
        both = sharing_games.drawn(name, table, [*folds, *games], amount=sharing.amount)
        samples[name] = both[: len(folds)]
        audits[name] = sharing_games.audits(table, folds, samples[name])
        scores, members = sharing_games.attacked(table, games, sharing_games.released(games, both[len(folds) :]))
        attacks[name] = {
            attack: membership_inference.attack(one, members, labels, groups=groups, draws=draws, seed=sharing.seed)
            for attack, one in scores.items()
        }
    predicted = sharing_games.classified(table, folds, samples, sharing=sharing)
    values = bootstrap.resample(labels, predicted, draws=draws, seed=sharing.seed, patients=groups)
    of_groups, _ = bootstrap.drawn_together(labels, groups)
    counts = np.unique(of_groups, return_counts=True)[1].tolist()  # what was drawn, and is independent
    real = values[REAL]["auroc"]
    copiers = {name: bool(np.mean([one.memorised for one, _ in each]) > COPIER) for name, each in audits.items()}
    rows = [
        {
            "generator": name,
            "kind": METHODS[name].kind,
            **_auroc(values[name]["auroc"], counts),
            "lost": contrasts.difference_record(differences.difference(values[name]["auroc"] - real, counts)),
            "memorisation": _audit(audits[name], table),
            "copier": copiers[name],
            "attacks": {attack: _attack(one, table) for attack, one in attacks[name].items()},
            "word": _word(attacks[name], copier=copiers[name]),
        }
        for name in names
    ]
    return {
        "classes": table.classes.record,
        "cohort": {"patients": table.patient_counts, "samples": len(table), "numbers": list(table.shape)},
        "covariates": list(table.covariates),
        "real": _auroc(real, counts),
        "generators": rows,
        "verdict": _sentence(rows),
        "rule": RULE,
        "plan": {
            "folds": sharing.folds,
            "repeats": sharing.repeats,
            "games": sharing.games,
            "amount": sharing.amount,
            "strength": sharing.strength,
        },
    }


def _sentence(rows: Sequence[Mapping]) -> str:
    """How many generators are shown to leak, which leaks least, and which keeps most of what real patients say.

    It is said to be by its estimate where the interval of it and that of another overlap. Copies and mixtures of real
    patients, which are there for comparison, count only where there is nothing else.
    """
    copies = [row["generator"] for row in rows if row["kind"] != "generative"]
    compared = [row for row in rows if row["kind"] == "generative"]
    if copies and compared:
        there = f"{', '.join(copies)}, copies or mixtures of real patients, {'is' if len(copies) == 1 else 'are'} there"
        return f"{_sentence(compared)[:-1]} ({there} for comparison)."
    leaking = sum(row["word"] == LEAKS for row in rows)
    if len(rows) == 1:
        return f"{_kept(rows[0])} is {'' if leaking else 'not '}shown to leak."
    least, most = min(rows, key=_strongest), max(rows, key=lambda row: row["auroc"])
    counted = f"All {len(rows)}" if leaking == len(rows) else f"{leaking or 'None'} of {len(rows)}"
    counted = "Both" if leaking == len(rows) == 2 else counted
    counted += f" generators {'is' if leaking == 1 else 'are'} shown to leak"
    others = {id(one): [row for row in rows if row is not one] for one in (least, most)}
    shown = {
        "leaks least": all(_attack_of(least)["ci95"][1] < _attack_of(row)["ci95"][0] for row in others[id(least)]),
        "keeps most": all(most["lost"]["ci95"][0] > row["lost"]["ci95"][1] for row in others[id(most)]),
    }
    leaks, keeps = (words if is_shown else f"{words} by its estimate" for words, is_shown in shown.items())
    both = f"{_kept(least)} {leaks} and {keeps}" if least is most else f"{_kept(least)} {leaks}, {_kept(most)} {keeps}"
    return f"{counted}; {both}{'' if all(shown.values()) else ', which is not shown to differ from all others'}."


def _strongest(row: Mapping) -> float:
    """AUROC of the attack that tells members best."""
    return _attack_of(row)["auroc"]


def _attack_of(row: Mapping) -> Mapping:
    """The attack that tells members best."""
    return max(row["attacks"].values(), key=lambda attack: attack["auroc"])


def _kept(row: Mapping) -> str:
    low, high = row["lost"]["ci95"]
    return (
        f"{row['generator']} (strongest attack: AUROC {_strongest(row):.2f}; difference to real patients "
        f"{row['lost']['difference']:+.3f}, 95% interval {low:+.3f} to {high:+.3f})"
    )


def _auroc(values: np.ndarray, counts: Sequence[int]) -> dict:
    found = bootstrap.estimates({"auroc": values}, counts)["auroc"]
    return {"auroc": found.value, "ci95": found.interval}


def _audit(each: Sequence[tuple[Memorisation, Mapping[int, Memorisation]]], table: FeatureTable) -> dict:
    """Means over folds, how many folds call it a copier, of all classes and of each, and patients copied most."""
    copied: dict[str, int] = {}
    for one, _ in each:
        for patient, number in one.copied_patients.items():
            copied[patient] = copied.get(patient, 0) + number
    return {
        "folds": len(each),
        **_means([one for one, _ in each]),
        "by_class": {
            name: _means([of_class[label] for _, of_class in each if label in of_class])
            for label, name in enumerate(table.classes.names)
        },
        "most_copied": sorted(copied.items(), key=lambda pair: -pair[1])[:10],
    }


def _means(audits: Sequence[Memorisation]) -> dict:
    names = ("share_nearer_1", "limit_1", "median_ratio", "auroc")
    known = [one for one in audits if np.isfinite(one.share_across_1)]  # folds with another class to compare with
    each = {**dict.fromkeys(names, audits), **dict.fromkeys(memorisation.ACROSS, known)}
    return {
        **{name: float(np.mean([getattr(one, name) for one in of])) if of else np.nan for name, of in each.items()},
        "memorised_folds": sum(one.memorised for one in audits),
    }


def _attack(one: Attack, table: FeatureTable) -> dict:
    return {
        "auroc": one.auroc,
        "ci95": one.interval,
        "caught": one.caught,
        "caught_ci95": one.caught_interval,
        "by_class": {
            table.classes.names[label]: {"auroc": value, "ci95": [low, high]}
            for label, (value, low, high) in one.by_label.items()
        },
    }


def _word(attacks: Mapping[str, Attack], *, copier: bool) -> str:
    # The percentile interval is stretched to that of all attacks at once.
    stretch = stats.norm.ppf(1 - 0.025 / len(attacks)) / stats.norm.ppf(0.975)
    lows = [one.auroc - stretch * (one.auroc - one.interval[0]) for one in attacks.values()]
    return LEAKS if max(lows) > 0.5 or copier else NOT_SHOWN
