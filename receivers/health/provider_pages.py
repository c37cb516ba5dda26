"""How to set up a webhook at the provider of each kind, in the words of its pages.

Sources: the providers' documentation of their webhooks, linked in the module of each kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class ProviderPages:
    """The words of a provider's pages.

    `name` is the provider's, `page` where webhooks are created, and `url` the field for the receiver URL.
    `credential` is the field for the value of the Secret, empty if the URL is the only credential. `events` says what
    to select, and `recent` where the provider shows what it has sent and the answers. `subject` is what a webhook
    belongs to.
    """

    name: str
    subject: str
    page: str
    url: str
    credential: str
    events: str
    recent: str

    @property
    def steps(self) -> tuple[str, ...]:
        """Return the steps as sentences."""
        fields = f"Enter the receiver's URL as {self.url}"
        if self.credential:
            fields += f", and the value of the receiver's Secret as {self.credential}"
        return f"Open {self.page} of the {self.subject}.", f"{fields}.", f"{self.events}."


PROVIDERS: Final[Mapping[str, ProviderPages]] = MappingProxyType(
    {
        "artifactory": ProviderPages(
            "Artifactory",
            subject="JFrog platform",
            page="Administration > General > Webhooks > New Webhook",
            url="URL",
            credential="Secret token, and select “Use secret for payload signing”",
            events="Select the event “Tag was pushed” under Docker, and the repositories",
            recent="the Troubleshooting tab of Webhooks",
        ),
        "azure": ProviderPages(
            "Azure",
            subject="registry, or Project settings > Service hooks of the Azure DevOps project",
            page="Services > Webhooks > Add",
            url="Service URI (URL in Azure DevOps)",
            credential="",
            events="Select the action push (the event “Code pushed” in Azure DevOps)",
            recent="the page of the webhook, and History under Service hooks in Azure DevOps",
        ),
        "bitbucket": ProviderPages(
            "Bitbucket",
            subject="repository",
            page="Repository settings > Webhooks > Add webhook",
            url="URL",
            credential="Secret",
            events="Select the trigger Push, and Merged and Declined of pull requests if Promotions wait for them",
            recent="View requests of the webhook, with “Enable History”",
        ),
        "dockerhub": ProviderPages(
            "Docker Hub",
            subject="repository",
            page="the Webhooks tab",
            url="Webhook URL, with any Webhook name",
            credential="",
            events="Press +",
            recent="View history of the webhook",
        ),
        "generic": ProviderPages(
            "your system",
            subject="sender",
            page="the settings for webhooks",
            url="the address to POST JSON to",
            credential="",
            events="Select the events that the receiver's actions expect",
            recent="the sender's own log, if it has one",
        ),
        "gitea": ProviderPages(
            "Gitea",
            subject="repository, organization or server",
            page="Settings > Webhooks > Add Webhook > Gitea",
            url="Target URL, with the content type application/json",
            credential="Secret",
            events="Select Push Events, and Pull Request events if Promotions wait for them",
            recent="Recent Deliveries, at the bottom of the webhook's page",
        ),
        "github": ProviderPages(
            "GitHub",
            subject="repository or organization",
            page="Settings > Webhooks > Add webhook",
            url="Payload URL, with the content type application/json",
            credential="Secret",
            events=(
                "Select “Just the push event”; add Packages for images on ghcr.io, and Pull requests if Promotions "
                "wait for them"
            ),
            recent="the Recent Deliveries tab of the webhook",
        ),
        "gitlab": ProviderPages(
            "GitLab",
            subject="project or group",
            page="Settings > Webhooks > Add new webhook",
            url="URL",
            credential="Secret token",
            events="Select Push events and Tag push events, and Merge request events if Promotions wait for them",
            recent="Recent events, on the page to edit the webhook",
        ),
        "harbor": ProviderPages(
            "Harbor",
            subject="project",
            page="Webhooks > New Webhook",
            url="Endpoint URL, with the payload format Default",
            credential="Auth Header",
            events="Select the event “Artifact pushed”",
            recent="Executions, below the webhook",
        ),
        "quay": ProviderPages(
            "Quay",
            subject="repository",
            page="Settings > Events and Notifications > Create Notification",
            url="Webhook URL, with the method “Webhook POST”",
            credential="",
            events="Select the event “Push to Repository”",
            recent="no page of Quay; “Test Notification” in the menu of the notification sends one",
        ),
    }
)
