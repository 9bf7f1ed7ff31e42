"""create_topics with the real broker."""

from uuid import uuid4

import pytest
from django.core.management import CommandError
from pytest_django.fixtures import Settings

from relay.operations import cluster
from tests.relay.operated import operate, operate_json

pytestmark = pytest.mark.usefixtures("parts")


def test_topics_are_created_and_compared_with_the_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = f"test.{uuid4()}"
    monkeypatch.setattr("relay.management.commands.create_topics.known_topics", lambda: [topic])
    with pytest.raises(CommandError, match="missing: test"):
        operate("create_topics", "--check")
    assert operate_json("create_topics", "--dry-run") == {"missing": [topic], "wrong": {}}
    assert operate_json("create_topics") == {"created": [topic]}
    assert operate("create_topics") == "all topics exist\n"
    assert cluster.read_shapes([topic]) == {topic: cluster.TopicShape(3, 1, -1)}
    assert "agree with the settings" in operate("create_topics", "--check")
    settings.RELAY = {**settings.RELAY, "PARTITIONS": 6, "RETENTION_MS": {topic: 1000}}
    wrong = ["the number of partitions is 3, not 6", "retention.ms is -1, not 1000"]
    assert operate_json("create_topics", "--dry-run") == {"missing": [], "wrong": {topic: wrong}}
    with pytest.raises(CommandError, match="topics differ from the settings"):
        operate("create_topics", "--check")
