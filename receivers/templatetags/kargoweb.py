"""What the templates of all pages share: icons, badges, times, names of artifacts, charts."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from heroicons.templatetags.heroicons import heroicon_mini

from receivers.deliveries.outcomes import Tone, label, tone
from receivers.health.finding import Severity
from receivers.kargo import quoting
from receivers.kargo.matching import Result
from receivers.web import durations
from receivers.web.charts import Chart

register = template.Library()

TONE_ICONS: Final = {
    Tone.GOOD: "check-circle",
    Tone.PLAIN: "minus-circle",
    Tone.BAD: "exclamation-triangle",
    Tone.OPEN: "clock",
}
VERDICT_TONES: Final = {
    Result.MATCH: Tone.GOOD,
    Result.NOT_EVALUABLE: Tone.BAD,
    Result.NEAR_MISS: Tone.OPEN,
    Result.OUT_OF_SCOPE: Tone.OPEN,
}
SEVERITIES: Final = {
    Severity.URGENT: (Tone.BAD, "exclamation-triangle"),
    Severity.WARNING: (Tone.OPEN, "exclamation-circle"),
    Severity.NOTE: (Tone.PLAIN, "information-circle"),
}
DIGEST_SHOWN: Final = 12  # hexadecimal digits: as many as Docker shows


@register.simple_tag
def icon(name: str) -> SafeString:
    """Draw an icon of heroicons' `mini` set; the word beside it says what it means."""
    return _icon(str(name))


@lru_cache(maxsize=256)  # every row of a list has some
def _icon(name: str) -> SafeString:
    return mark_safe(heroicon_mini(name, size=16, **{"class": "icon"}))  # noqa: S308 - a file of the package


@register.simple_tag
def badge(tone: str, word: str) -> SafeString:
    """Show a word in a tone (`good`, `plain`, `bad` or `open`), with the tone's icon."""
    return format_html(
        '<span class="badge" data-tone="{}">{}{}</span>', tone, _icon(TONE_ICONS[Tone(tone)]), word
    )


@register.simple_tag
def outcome_badge(outcome: str) -> SafeString:
    """Show an `Outcome` or a `RefreshOutcome`."""
    return badge(tone(outcome), label(outcome))


@register.simple_tag
def severity_badge(severity: Severity) -> SafeString:
    """Show how urgent a finding is."""
    return format_html(
        '<span class="badge" data-tone="{}">{}{}</span>',
        severity_tone(severity),
        severity_icon(severity),
        severity,
    )


@register.simple_tag
def severity_tone(severity: Severity) -> Tone:
    """Return the tone of a severity."""
    return SEVERITIES[severity][0]


@register.simple_tag
def severity_icon(severity: Severity) -> SafeString:
    """Draw the icon of a severity."""
    return _icon(SEVERITIES[severity][1])


@register.simple_tag
def when(at: datetime | None) -> SafeString:
    """Show how long ago something was; the exact time is at hand. A dash if it never was."""
    if at is None:
        return mark_safe('<span class="quiet">–</span>')
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        at.isoformat(timespec="milliseconds"),
        f"{at:%Y-%m-%d %H:%M:%S} UTC",
        durations.ago((timezone.now() - at).total_seconds()),
    )


@register.filter
def milliseconds(value: float | None) -> str:
    """Show a duration given in milliseconds; a dash for None."""
    return "–" if value is None else durations.duration(value / 1000)


@register.filter
def seconds(value: float | None) -> str:
    """Show a duration given in seconds; a dash for None."""
    return "–" if value is None else durations.duration(value)


@register.simple_tag
def artifact(repository: str, tag: str = "") -> SafeString:
    """Show `repository:tag`; too long a name ends in an ellipsis and is whole in the title."""
    if not repository:
        return mark_safe('<span class="quiet">unknown</span>')
    repository, tag = quoting.visible(repository), quoting.visible(tag)
    name = f"{repository}:{tag}" if tag else repository
    return format_html(
        '<code class="ellipsis artifact" title="{}"><span class="repository">{}</span>{}</code>',
        name,
        repository,
        format_html('<span class="tag">:{}</span>', tag) if tag else "",
    )


@register.simple_tag
def digest(value: str) -> SafeString:
    """Show an artifact's digest, shortened; it is whole in the title. Never for a receiver's."""
    algorithm, colon, rest = value.partition(":")
    return format_html('<code title="{}">{}</code>', value, f"{algorithm}{colon}{rest[:DIGEST_SHOWN]}")


@register.simple_tag
def ellipsis(text: Any) -> SafeString:
    """Show a name that may be too long for its place: it ends in an ellipsis and is whole in the title."""
    text = quoting.visible(str(text))
    return format_html('<span class="ellipsis" title="{}">{}</span>', text, text)


@register.simple_tag
def chart(drawing: Chart) -> SafeString:
    """Draw stacked columns, with their text for who cannot see them."""
    bars = format_html_join(
        "",
        '<rect class="bar" data-tone="{}" x="{}" y="{}" width="{}" height="{}"/>',
        ((bar.tone, bar.x, bar.y, bar.width, bar.height) for bar in drawing.bars),
    )
    return format_html(
        '<svg class="chart" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">'
        '<title>{}</title><path class="ground" d="M0 {}H{}"/>{}</svg>',
        drawing.text,
        drawing.width,
        drawing.height + 1,
        drawing.width,
        drawing.height + 1,
        drawing.text,
        drawing.height + 0.5,
        drawing.width,
        bars,
    )


@register.simple_tag
def copy_button(text: str, what: str, word: str = "Copy") -> SafeString:
    """Offer to copy `text`; `what` says what it is, after the `word` on the button.

    Without JavaScript there is no button: the text is there.
    """
    return format_html(
        '<button type="button" class="quiet-button copy" data-copy="{}" hidden>{}<span>{}</span>'
        '<span class="unseen"> {}</span></button>',
        conditional_escape(text),
        _icon("clipboard-document"),
        word,
        what,
    )


@register.simple_tag
def project_url(name: str) -> str:
    """Return the address of a project's page; that of the cluster receivers if the name is empty."""
    return reverse("project", args=[name]) if name else reverse("cluster")


@register.simple_tag
def receiver_url(project: str, receiver: str) -> str:
    """Return the address under which the pages speak of a receiver. It is not the receiver URL."""
    if project:
        return reverse("receiver", args=[project, receiver])
    return reverse("cluster-receiver", args=[receiver])


@register.simple_tag
def test_url(project: str, receiver: str) -> str:
    """Return the address of the page from which tests are fired at a receiver."""
    if project:
        return reverse("test", args=[project, receiver])
    return reverse("cluster-test", args=[receiver])


@register.simple_tag
def kubectl(project: str) -> str:
    """Return the line of Kargo's documentation that prints the receiver URLs of a project, or of the cluster."""
    what = f"projectconfigs {project} -n {project}" if project else "clusterconfigs cluster"
    return f"kubectl get {what} -o=jsonpath='{{.status.webhookReceivers}}'"


@register.simple_tag
def tone_icon(tone: str) -> SafeString:
    """Draw the icon of a tone."""
    return _icon(TONE_ICONS[Tone(tone)])


@register.simple_tag
def verdict_badge(result: str) -> SafeString:
    """Show what a verdict comes to, a `Result`."""
    return badge(VERDICT_TONES.get(Result(result), Tone.PLAIN), result)


@register.simple_tag
def clock(at: datetime) -> SafeString:
    """Show the time of day to the millisecond, in UTC; the date is at hand."""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.isoformat(timespec="milliseconds"),
        f"{at:%Y-%m-%d %H:%M:%S} UTC",
        f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}",
    )


@register.filter
def visible(text: Any) -> str:
    """Show text that strangers wrote with everything escaped that cannot be seen, or turns other text around."""
    return quoting.visible(str(text))


@register.simple_tag
def receiver_name(delivery: Any) -> SafeString:
    """Show to which receiver a delivery came, with its project; both lead on."""
    project, receiver = _of(delivery, "project"), _of(delivery, "receiver")
    name = f"{project or 'cluster'}/{receiver}"
    return format_html(
        '<a class="ellipsis" href="{}" title="{}">{}</a>', receiver_url(project, receiver), name, name
    )


@register.simple_tag
def deliveries_url(**wanted: Any) -> str:
    """Return the address of the deliveries that a filter asks for; `project` is empty for the cluster receivers."""
    if "project" in wanted:
        wanted["project"] = wanted["project"] or "cluster"
    query = urlencode({name: str(value) for name, value in wanted.items() if value})
    return f"{reverse('deliveries')}?{query}"


@register.simple_tag
def same_push_url(delivery: Any) -> str:
    """Return the address of the deliveries that announce the same push as this one."""
    names = ("project", "receiver", "repository", "tag", "push_id")
    project, receiver, repository, tag, push = (_of(delivery, name) for name in names)
    return deliveries_url(project=project, receiver=receiver, repository=repository, tag=tag, push=push)


@register.simple_tag
def warehouse_url(refresh: Any) -> str:
    """Return the address of the deliveries for which a Warehouse was asked."""
    return deliveries_url(warehouse=f"{refresh.project}/{refresh.warehouse}")


def _of(row: Any, name: str) -> Any:
    """Return a value of a row, which is a dictionary where lists read only what they show."""
    return row[name] if isinstance(row, dict) else getattr(row, name)
