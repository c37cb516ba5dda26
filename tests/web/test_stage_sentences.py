"""The words for how far Freight is in a Stage."""

from __future__ import annotations

import pytest

from receivers.kargo.stage_states import StageNode, StageProgress, StageState
from receivers.kargo.stages import FreightName
from receivers.web import stage_sentences
from receivers.web.phrases import code, listed, long_duration, phrase
from receivers.web.stage_sentences import explanation, sentence, summary, tone, unfinished, word
from tests.kargo.pipelines import Pipelines, at, text


@pytest.fixture
def line() -> Pipelines:
    """Return test and uat (automatic, soak of 34 minutes) and prod (manual), with Freight 1 that is in none."""
    line = Pipelines("test", "uat")
    line.stage("test", direct=True).stage("uat", "test", soak="34m").stage("prod", "uat")
    return line.freight("1", 0)


def stop(progress: StageProgress) -> str:
    """Return all that a stop says."""
    lines = (f"{word(progress)} {sentence(progress)}".strip(), str(stage_sentences.detail(progress)))
    return " / ".join(filter(None, lines))


def described(line: Pipelines, freight: str, stage: str) -> str:
    return stop(line.assess(freight, stage))


class TestStops:
    def test_live(self, line):
        assert described(line.enter("test", "1", 60), "1", "test") == "Live since 13:01 / verified 13:01"

    def test_live_and_not_verified(self, line):
        assert (
            described(line.enter("test", "1", 60, verified=False), "1", "test")
            == "Live since 13:01 / being verified"
        )

    def test_live_although_another_was_promoted(self, line):
        line.freight("2", 9).enter("test", "1", 60).promote("test", "2", "Failed", 90)
        assert described(line, "1", "test") == "Live since 13:01 / verified 13:01, 2 failed to replace it"

    def test_live_and_promoted_again(self, line):
        line.enter("test", "1", 60).promote("test", "1", "Running", 90)
        assert described(line, "1", "test") == "Live since 13:01 / verified 13:01, being promoted again"
        line.promote("test", "1", "Failed", 90)
        assert described(line, "1", "test") == "Live since 13:01 / verified 13:01, promoting it again failed"

    def test_failed_while_newer_freight_is_there(self, line):
        line.freight("2", 9).promote("test", "1", "Failed", 60).enter("test", "2", 90)
        assert described(line, "1", "test") == "Failed 13:01 / newer 2 is live"
        why = explanation(line.assess("1", "test"))
        assert str(why.text) == "This Stage already has 2, which is newer."

    def test_replaced(self, line):
        line.freight("2", 9).enter("test", "1", 60).enter("test", "2", 180)
        assert described(line, "1", "test") == "Replaced by 2 at 13:03 / live for 2 min, verified"

    def test_replaced_long_ago(self, line):
        line.freight("1", 0, verifiedIn={"test": {"verifiedAt": text(6)}})
        assert described(line, "1", "test") == "Replaced / verified"

    def test_promoting(self, line):
        results = [{"alias": "clone", "status": "Succeeded"}, {"alias": "commit", "status": "Running"}]
        line.promote("test", "1", "Running", 60, currentStep=1, stepExecutionMetadata=results)
        assert described(line, "1", "test") == "Promoting since 13:01 / step 2 of 3: commit"

    def test_queued(self, line):
        line.freight("2", 9).promote("test", "1", "Running", 5).promote("test", "2", "Pending", 60)
        assert described(line, "2", "test") == "Queued since 13:01 / after 1"

    def test_failed(self, line):
        results = [{"alias": "clone", "status": "Failed", "message": "no"}]
        line.promote("test", "1", "Failed", 60, stepExecutionMetadata=results)
        assert described(line, "1", "test") == "Failed 13:01 at step clone"

    def test_waiting(self, line):
        line.now = 100
        assert described(line, "1", "uat") == "Not yet verified in test"
        assert (
            described(line.enter("test", "1", 60), "1", "uat") == "Waiting for soak time in test until 13:35"
        )

    def test_one_of_several_upstreams_or_all_of_them(self, line):
        line.stage("qa", direct=True).stage("any", "test", "qa")
        line.stage("all", "test", "qa", availabilityStrategy="All")
        assert described(line, "1", "any") == "Not yet verified in test or qa"
        assert described(line, "1", "all") == "Not yet verified in test and qa"

    def test_ready(self, line):
        assert described(line.enter("uat", "1", 60), "1", "prod") == "Ready for manual promotion"

    def test_superseded(self, line):
        assert described(line.freight("2", 9), "1", "test") == "Superseded by 2"

    def test_paused(self, line):
        hold = {"freightName": "0", "actor": "kubernetes:jane", "createdAt": text(60)}
        line.status("test", effectiveAutoPromotionHolds={"Warehouse/app": hold})
        assert described(line, "1", "test") == "Paused auto-promotion by jane since 13:01"


class TestExplanations:
    def test_a_failure_has_the_message_without_the_step(self, line):
        message = 'step "clone": no such branch'
        results = [{"alias": "clone", "status": "Failed", "message": message}]
        line.promote("test", "1", "Failed", 60, message=message, stepExecutionMetadata=results)
        item = explanation(line.assess("1", "test"))
        assert (item.tone, str(item.title)) == ("bad", "the promotion failed at step clone")
        assert item.message == "no such branch"
        assert str(item.text) == "Kargo does not retry a failed promotion. Fix the cause, then promote again."

    def test_soak_time(self, line):
        line.now = 100
        item = explanation(line.enter("test", "1", 60).assess("1", "uat"))
        assert str(item.title) == "soak time until 13:35"
        assert str(item.text) == (
            "alias-1 must stay in test for 34 minutes. Promotion is automatic and starts within 5 minutes after that."
        )

    def test_soak_time_that_was_cut_short(self, line):
        line.freight("2", 9).enter("test", "1", 60).enter("test", "2", 120)
        item = explanation(line.assess("1", "uat"))
        assert str(item.text) == (
            "alias-1 was in test for 1 minute of 34 minutes. Promote it to test again, or approve it for this Stage."
        )

    def test_a_way_that_ended_upstream(self, line):
        line.freight("2", 9).enter("test", "1", 60, verified=False).enter("test", "2", 120)
        item = explanation(line.assess("1", "uat"))
        assert "It won't get here automatically." in str(item.text)

    def test_manual_promotion(self, line):
        item = explanation(line.enter("uat", "1", 60).assess("1", "prod"))
        assert str(item.title) == "ready for manual promotion"


class TestSummary:
    def test_live_in_some_and_the_rest(self, line):
        line.enter("test", "1", 60).enter("uat", "1", 120)
        assert str(summary(line.journey("1"))) == "Live in test and uat. prod is ready for manual promotion."

    def test_what_only_waits_for_another_is_left_out(self, line):
        line.now = 100
        line.enter("test", "1", 60)
        assert str(summary(line.journey("1"))) == "Live in test since 13:01. uat waits until 13:35."
        assert [node.name for node in unfinished(line.journey("1"))] == ["uat"]

    def test_a_sentence_starts_with_a_capital_unless_a_stage_does(self, line):
        line.promote("test", "1", "Failed", 60)
        assert str(summary(line.journey("1"))) == "The promotion to test failed."

    def test_stages_in_the_same_state_share_a_clause(self, line):
        for name in ("eu", "us"):
            line.stage(name, "uat", soak="1h")
        line.enter("test", "1", 60).enter("uat", "1", 120)
        assert str(summary(line.journey("1"))) == (
            "Live in test and uat. eu and us wait until 14:02 and prod is ready for manual promotion."
        )

    def test_many_states_are_counted(self, line):
        line.enter("test", "1", 60).enter("uat", "1", 120)
        for number in range(7):
            line.stage(f"eu-{number}", "uat", soak=f"{number + 1}h")
        assert "and 4 more Stages wait." in str(summary(line.journey("1")))

    def test_replaced_everywhere(self, line):
        line.freight("2", 9)
        for stage in ("test", "uat", "prod"):
            line.enter(stage, "1", 60).enter(stage, "2", 120)
        assert str(summary(line.journey("1"))) == "Replaced in all Stages."

    def test_without_stages_there_is_nothing_to_say(self):
        assert not summary(Pipelines().freight("1").journey("1"))


@pytest.mark.parametrize("state", StageState)
def test_every_state_has_words(state):
    progress = StageProgress("shop", "prod", FreightName("1"), state, upstreams=("uat",), until=at(0))
    node = StageNode("prod", (), 0, progress)
    assert word(progress)
    assert tone(progress) in {"good", "bad", "open", "run", "gone", "plain"}
    assert str(sentence(progress)) == str(sentence(progress)).strip()
    assert explanation(progress).title or progress.is_reached
    assert node.progress.is_reached or str(stage_sentences.clause([progress]))


def test_a_phrase_keeps_times_and_code_apart():
    words = phrase("at ", at(0), phrase(" in ", code("x")), None)
    assert str(words) == "at 13:00 in x"
    assert [piece.at for piece in words] == [None, at(0), None, None]
    assert [piece.code for piece in words] == [False, False, False, True]


@pytest.mark.parametrize(
    ("names", "text"), [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b, or c")], ids=str
)
def test_lists(names, text):
    assert listed(names, "or") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (2040, "34 minutes"),
        (5400, "1 hour 30 minutes"),
        (90000, "1 day 1 hour"),
    ],
)
def test_durations(seconds, text):
    assert long_duration(at(seconds) - at(0)) == text
