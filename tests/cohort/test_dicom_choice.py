"""Series that the user names instead of those that would be taken."""

from rembrandt_featgen.cohort import dicom_choice, dicom_series
from tests.cohort.refusals import refused
from tests.cohort.test_dicom_series import download


def test_series_that_the_user_names(tmp_path):
    series = dicom_series.scan(download(tmp_path))

    def taken(modalities, *wanted):
        choice = dicom_choice.choose(series, modalities, wanted)
        return [(one.modality, one.series.uid) for one in choice.taken if one.visit[0] == "19960823"]

    assert taken(["flair"], "1.1") == [("flair", "1.1")]
    assert taken(["flair"], "1.3") == [("flair", "1.3")]  # of one modality there is no doubt
    assert taken(["flair", "t1ce"]) == [("flair", "1.2"), ("t1ce", "1.3")]
    assert taken(["flair", "t1"], "t1:1.3") == [("flair", "1.2"), ("t1", "1.3")]
    choose = dicom_choice.choose
    refused(lambda: choose(series, ["flair"], ["9.9"]), "--series=9.9", "no such series", "--list")
    refused(lambda: choose(series, ["flair", "t1"], ["1.3"]), "--series=1.3", "none of", "flair:1.3")
    refused(lambda: choose(series, ["flair"], ["1.4"]), "--series=1.4", "slices are missing")
    refused(lambda: choose(series, ["flair"], ["1.1", "1.2"]), "--series=1.2", "1.1 is another flair")
