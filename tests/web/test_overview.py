"""The overview: health, figures, what needs action, failures, and receivers that wait for a first push."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from receivers.deliveries.figures import Range, figures, percentile
from receivers.deliveries.hourly_figures import bucket_of, hour_of, roll_up
from receivers.deliveries.outcomes import Tone
from receivers.health.finding import Severity
from receivers.models import Delivery, Origin, Outcome, ProjectDelivery, Refresh
from receivers.web.figure_chart import BASE, TOP, figure_chart
from receivers.web.figure_view import short
from receivers.web.overview import health_line
from tests.deliveries.rows import delivery, store
from tests.users import BACKEND, create_user
from tests.web.html import seen_version, visible_text
from tests.web.queries import query_count
from tests.worlds import image

HOURS_AGO = 2


def stored(project: str, outcome: Outcome = Outcome.FREIGHT_CREATED, **fields: object) -> Delivery:
    """Store a push of two hours ago and compute the figures of its hour."""
    at = timezone.now() - timedelta(hours=HOURS_AGO)
    [row] = store(delivery(project, **({"received_at": at, "outcome": outcome} | fields)))  # type: ignore[arg-type]  # values of many types
    roll_up(hour_of(row.received_at))
    return row


def viewer(client: Client, project: str) -> Client:
    """Sign a new viewer of one project in."""
    client.force_login(create_user(f"viewer:{project}"), BACKEND)
    return client


def page_of(client: Client, path: str = "/") -> str:
    """Return a page as text."""
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def tile(page: str, title: str) -> str:
    """Return the text of a tile."""
    match = re.search(rf'<a href="[^"]*">\s*<span class="quiet">{title}</span>(.*?)</a>', page, re.S)
    assert match, page
    return visible_text(match[1])


def test_the_figures_of_a_project_are_those_of_its_readers(admin_client, project_name):
    row = stored(project_name)
    Refresh.objects.create(
        delivery=row, project=project_name, warehouse="web", outcome=Outcome.FREIGHT_CREATED,
        ended_at=row.received_at + timedelta(seconds=4),
    )  # fmt: skip
    stored(project_name, Outcome.DISCOVERY_FAILED)
    stored(project_name, Outcome.NO_MATCH)
    stored(f"{project_name}-other", Outcome.DISCOVERY_FAILED)
    page = page_of(viewer(admin_client, project_name))
    assert tile(page, "Pushes").startswith("3 none the day before")
    assert tile(page, "Became Freight") == "50% 1 of 2 that matched"
    assert re.match(r"[34]\.\d s p50 [34]\.\d s p95", tile(page, "Push to Freight"))
    assert visible_text(page).count("Failed 1") == 1


def test_each_bar_leads_to_the_pushes_that_it_counts(admin_client, project_name):
    row = stored(project_name)
    page = unescape(page_of(viewer(admin_client, project_name)))
    links = re.findall(r'<a href="([^"]*)">\s*<title>([^<]*), 1 push: 1 succeeded</title>', page)
    assert len(links) == 2  # one in each of the two charts
    for link, _ in links:
        query = parse_qs(urlsplit(link).query)
        since, until = query["since"][0], query["until"][0]
        assert since <= row.received_at.replace(tzinfo=None).isoformat() <= until
    listed = admin_client.get(links[0][0])
    assert listed.status_code == 200
    assert row.repository in listed.content.decode()


@pytest.mark.parametrize(("range_", "columns"), [("24h", 24), ("7d", 28), ("30d", 30), ("nonsense", 24)])
def test_the_table_has_a_row_for_each_column(admin_client, project_name, range_, columns):
    stored(project_name)
    page = page_of(viewer(admin_client, project_name), f"/?range={range_}")
    assert page.count('<th scope="row">') == columns
    assert tile(page, "Pushes").startswith("1 ")
    assert 'aria-current="true"' in page


def test_a_longer_range_includes_older_pushes_and_compares_with_the_time_before(database, project_name):
    now = timezone.now()
    for days in (0, 3, 9, 10, 20):
        stored(project_name, received_at=now - timedelta(days=days, minutes=1))
    of_week = figures(Range.WEEK, now, project=project_name)
    assert (of_week.whole.pushes, of_week.before.pushes) == (2, 2)
    assert figures(Range.MONTH, now, project=project_name).whole.pushes == 5
    assert figures(Range.DAY, now, project=project_name).whole.pushes == 1
    assert figures(Range.MONTH, now, project=project_name, receiver="hook").whole.pushes == 5
    assert figures(Range.MONTH, now, project=project_name, receiver="other").whole.pushes == 0
    assert figures(Range.MONTH, now, projects={project_name, "nowhere"}).whole.pushes == 5


def test_percentiles_are_close_to_the_times():
    counts: dict[int, int] = {}
    for seconds in range(1, 101):
        counts[bucket_of(seconds)] = counts.get(bucket_of(seconds), 0) + 1
    p50, p95 = percentile(counts, 0.5), percentile(counts, 0.95)
    assert p50 is not None
    assert abs(p50 - 50) < 5
    assert p95 is not None
    assert abs(p95 - 95) < 8
    assert percentile({}, 0.5) is None


def test_the_chart_stays_within_its_bounds_and_scales_to_the_highest_bar(database, project_name):
    for outcome in (Outcome.FREIGHT_CREATED, Outcome.NO_MATCH, Outcome.FAILED, Outcome.REFRESHED):
        stored(project_name, outcome)
    numbers = figures(Range.DAY, timezone.now(), project=project_name)
    chart = figure_chart(Range.DAY, numbers.columns, timezone.get_current_timezone(), lambda _: "/x")
    [column] = [column for column in chart.columns if column.parts]
    assert [part.tone for part in column.parts] == [Tone.GOOD, Tone.OPEN, Tone.PLAIN, Tone.BAD]
    assert all(TOP <= part.y <= part.y + part.height <= BASE for part in column.parts)
    assert [tick.text for tick in chart.counts] == ["0", "1", "2", "3", "4"]
    assert "4 pushes: 1 succeeded, 1 in progress, 1 skipped by configuration, 1 failed" in column.text
    assert not any(column.url for column in chart.columns if not column.parts)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.12, "120 ms"), (4.2, "4.2 s"), (38, "38 s"), (150, "2 min"), (9_000, "2 h")],
)
def test_a_duration_is_one_number_with_its_unit(seconds, text):
    assert " ".join(short(seconds)).strip() == text


def test_failures_are_listed_with_their_reason_and_only_for_those_who_may_see_them(
    admin_client, project_name
):
    stored(project_name, Outcome.DISCOVERY_FAILED, reason="manifest unknown", repository="example/broken")
    stored(f"{project_name}-other", Outcome.DISCOVERY_FAILED, repository="example/other-secret")
    page = page_of(viewer(admin_client, project_name))
    assert "example/broken" in page
    assert "Discovery failed. Manifest unknown." in visible_text(page)
    assert "other-secret" not in page


def test_tests_are_no_failures(admin_client, project_name):
    stored(project_name)
    stored(project_name, Outcome.TEST_REFUSED, repository="example/refused")
    stored(project_name, Outcome.FAILED, origin=Origin.TEST, repository="example/tested")
    page = page_of(viewer(admin_client, project_name))
    assert "example/tested" not in page


def test_a_receiver_that_waits_for_a_first_push_is_listed_with_its_repositories(signed_in, world):
    project = world.project(image("acme/api"), image("acme/web"))
    browser = signed_in(f"viewer:{project.name}")
    page = browser.open_until("/", f"{project.name}/hook")
    assert "Connect your first repository" in page
    other = world.project(image("acme/api"))
    assert other.name not in browser.open("/")


@pytest.mark.parametrize(
    ("count", "ready", "current", "tone", "words"),
    [
        (0, True, True, "good", "All is well."),
        (0, True, False, "open", "kargoweb is not in sync with the cluster."),
        (1, True, True, "bad", "1 problem needs action. Everything else is healthy."),
        (3, True, False, "bad", "3 problems need action. kargoweb is not in sync with the cluster."),
        (0, False, False, "open", "The cluster is being read."),
    ],
)
def test_the_health_is_one_sentence(admin_client, count, ready, current, tone, words):
    report = admin_client  # the fixture starts the runtime, whose findings are real
    assert report
    from receivers.health.checks import Check
    from receivers.health.finding import Finding, Subject

    findings = [
        Finding(
            Severity.URGENT,
            Check.DISCOVERY_FAILED,
            "shop",
            Subject.WAREHOUSE,
            str(number),
            "It fails.",
            "Fix it.",
        )
        for number in range(count)
    ]
    line = health_line(findings, ready=ready, current=current)
    assert line.tone == tone
    assert line.sentence.startswith(words)


def test_the_overview_is_a_fragment_that_is_not_sent_unchanged(signed_in, database, project_name):
    stored(project_name)
    browser = signed_in(f"viewer:{project_name}")
    page = browser.open("/")
    browser.fragment(f"/?seen={seen_version(page)}", "overview")
    assert browser.status in {200, 204}
    assert "<h1" in browser.fragment("/?seen=other", "overview")


def test_the_number_of_queries_does_not_depend_on_the_number_of_deliveries(admin_client, project_name):
    stored(project_name)
    stored(project_name, Outcome.FAILED)
    client = viewer(admin_client, project_name)
    page_of(client)
    before = query_count(client, "/")
    for _ in range(20):
        stored(project_name, Outcome.FAILED)
    assert query_count(client, "/") == before <= 48  # two for each outcome that needs action


def test_a_push_to_a_cluster_receiver_counts_in_the_projects_that_it_concerns(admin_client, project_name):
    [row] = store(delivery("", received_at=timezone.now(), outcome=Outcome.DISCOVERY_FAILED))
    ProjectDelivery.objects.create(delivery=row, project=project_name, received_at=row.received_at)
    roll_up(hour_of(row.received_at))
    page = page_of(viewer(admin_client, project_name))
    assert tile(page, "Pushes").startswith("1 ")
    assert "Skipped by configuration 1" in visible_text(page)
