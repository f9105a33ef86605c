"""workers/web/server.py: what a process shows of itself, to whom, and what is counted."""

from prometheus_client import CollectorRegistry

from tests.halls import HALL
from tests.sites import Around, bearer, with_site
from workers.web.server import _GROUP, GROUPS


def test_metrics_are_for_this_machine_or_for_their_role() -> None:
    async def scenario(around: Around) -> None:
        assert (await around.get("/metrics"))[0] == 200
        for path in ("/metrics", "/digest"):
            for role, status in (("", 401), ("operator", 403), ("metrics", 200)):
                headers = {**bearer(role), "X-Forwarded-For": "9.9.9.9"}
                async with around.session.get(around.web.url + path, headers=headers) as answer:
                    assert answer.status == status, (path, role)
        assert (await around.get("/healthz"))[0] == (await around.get("/readyz"))[0] == 200

    with_site(scenario)


def test_requests_are_counted_by_group_and_class() -> None:
    async def scenario(around: Around) -> None:
        await around.get(f"/board/{HALL}")
        await around.get("/nothing")
        await around.get("/api/v1/me")
        assert around.site.requests["board", "2xx"] == 1 and around.site.requests["staff", "4xx"] == 1
        assert around.site.requests["api", "4xx"] == 1
        assert all(seconds >= 0 for seconds in around.site.seconds.values())
        assert set(around.site.requests) == set(around.site.seconds)

    with_site(scenario)


def test_every_group_has_its_name() -> None:
    assert {*_GROUP.values(), "staff"} == set(GROUPS)
    assert isinstance(CollectorRegistry(auto_describe=False), CollectorRegistry)


def test_a_post_where_there_is_none_is_refused() -> None:
    async def scenario(around: Around) -> None:
        assert (await around.post(f"/board/{HALL}", {}))[0] == 405
        assert (await around.post("/api/v1/me", {}))[0] == 405

    with_site(scenario)
