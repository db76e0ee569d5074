"""The HTTP API: every route on one screen, and the application that serves them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from geotarget.api import (
    audiences,
    audit,
    backtests,
    campaigns,
    connection,
    console,
    conversions,
    covers,
    deliveries,
    device_tokens,
    devices,
    endpoints,
    erasures,
    events,
    explain,
    exports,
    health,
    history,
    imports,
    keys,
    live,
    openapi,
    pings,
    places,
    previews,
    problems,
    profiles,
    purposes,
    reports,
    sessions,
    settings,
    tiles,
    zones,
)
from geotarget.api.auth import Doorkeeper, Scope
from geotarget.api.broadcast import Broadcast
from geotarget.api.headers import SafeHeaders
from geotarget.api.quarantine import Quarantine
from geotarget.api.route import Body, GuardedRoute, Row
from geotarget.api.services import Context, Limits, Services
from geotarget.api.zone_map import ZoneMap

GEO = zones.GEOJSON
JSON = ("application/json",)


def table(limits: Limits, *, open_metrics: bool = False) -> tuple[Row, ...]:
    """Return all routes: path, handler, what the key must allow, body, and what is special."""
    get, put, post, delete = (partial(Row, each) for each in ("GET", "PUT", "POST", "DELETE"))
    gone = partial(delete, status=204)
    s = Scope
    batch = Body(pings.MEDIA_TYPES, limits.pings_bytes, model=pings.PingsDocument)
    zone = Body(zones.MEDIA_TYPES, limits.geometry.max_bytes, model=zones.FeatureDocument)
    many = Body(
        zones.MEDIA_TYPES, limits.geometry.max_collection_bytes, model=zones.FeaturesDocument
    )
    small = Body(JSON, limits.document_bytes, limits.document_depth)
    rows = Body(
        imports.MEDIA_TYPES,
        limits.import_bytes,
        model=imports.ImportDocument,
        csv=imports.CSV_EXAMPLE,
        streamed=True,
    )
    report = Body(
        conversions.MEDIA_TYPES, conversions.MOST_BYTES, model=conversions.ConversionsDocument
    )
    place = Body(zones.MEDIA_TYPES, limits.geometry.max_bytes, model=places.PlaceDocument)
    watch = None if open_metrics else s.REPORTS_READ
    stream: live.Stream = {"answer": live.EventStream, "gives": live.MEDIA_TYPE}
    guess = (401, 429)
    return (
        post("/v1/pings", pings.post_pings, s.PINGS_WRITE, batch, status=202),
        get("/v1/connection", connection.show_connection, s.REPORTS_READ),
        get("/v1/zones", zones.list_zones, s.ZONES_READ, answer=zones.FeaturesAnswer, gives=GEO),
        post("/v1/zones", zones.import_zones, s.ZONES_WRITE, many),
        get("/v1/zones/{id:path}/cells", covers.get_cells, s.ZONES_READ),
        get("/v1/zones/{id:path}", zones.get_zone, s.ZONES_READ, **zones.ONE),
        put("/v1/zones/{id:path}", zones.put_zone, s.ZONES_WRITE, zone, **zones.ONE),
        gone("/v1/zones/{id:path}", zones.delete_zone, s.ZONES_WRITE),
        post("/v1/zones:reach", places.reach_zone, s.REPORTS_READ, place, (404, 409)),
        post("/v1/zones:lint", places.lint_zone, s.ZONES_READ, place, (404,)),
        post("/v1/zones:cells", covers.draft_cells, s.ZONES_READ, place, (404,)),
        get("/v1/tiles/zones/{z}/{x}/{y}", tiles.zone_tile, s.ZONES_READ, **tiles.ANSWER),
        get("/v1/campaigns", campaigns.list_campaigns, s.CAMPAIGNS_READ),
        post("/v1/campaigns:preview", previews.preview_draft, s.CAMPAIGNS_READ, small),
        post("/v1/campaigns/{id:path}:preview", previews.preview_campaign, s.CAMPAIGNS_READ, small),
        post("/v1/campaigns:backtest", backtests.backtest_draft, s.REPORTS_READ, small),
        post(
            "/v1/campaigns/{id:path}:backtest", backtests.backtest_campaign, s.REPORTS_READ, small
        ),
        get("/v1/campaigns/{id:path}/versions", campaigns.list_versions, s.CAMPAIGNS_READ),
        get("/v1/campaigns/{id:path}/variants", campaigns.show_variants, s.CAMPAIGNS_READ),
        get("/v1/campaigns/{id:path}", campaigns.get_campaign, s.CAMPAIGNS_READ),
        put("/v1/campaigns/{id:path}", campaigns.put_campaign, s.CAMPAIGNS_WRITE, small, (412,)),
        gone("/v1/campaigns/{id:path}", campaigns.delete_campaign, s.CAMPAIGNS_WRITE),
        get("/v1/endpoints", endpoints.list_endpoints, s.ENDPOINTS_READ),
        get("/v1/endpoints/{id:path}", endpoints.get_endpoint, s.ENDPOINTS_READ),
        put("/v1/endpoints/{id:path}", endpoints.put_endpoint, s.ENDPOINTS_WRITE, small, (409,)),
        post(
            "/v1/endpoints/{id:path}:rotate",
            endpoints.rotate_endpoint,
            s.ENDPOINTS_WRITE,
            small,
            (409,),
        ),
        post(
            "/v1/endpoints/{id:path}:test",
            endpoints.send_test,
            s.ENDPOINTS_WRITE,
            problems=(409,),
            status=202,
        ),
        gone("/v1/endpoints/{id:path}", endpoints.delete_endpoint, s.ENDPOINTS_WRITE, None, (409,)),
        get("/v1/events", events.list_events, None),
        get("/v1/audiences", audiences.list_audiences, s.AUDIENCES_READ),
        post("/v1/audiences:count", audiences.count_audience, s.AUDIENCES_READ, small),
        get("/v1/audiences:attributes", audiences.list_attributes, s.AUDIENCES_READ),
        get("/v1/audiences/{id:path}", audiences.get_audience, s.AUDIENCES_READ),
        put("/v1/audiences/{id:path}", audiences.put_audience, s.AUDIENCES_WRITE, small, (412,)),
        gone("/v1/audiences/{id:path}", audiences.delete_audience, s.AUDIENCES_WRITE, None, (409,)),
        get("/v1/profiles:purposes", purposes.list_purposes, s.PROFILES_READ),
        get("/v1/profiles", profiles.seek_profiles, s.PROFILES_READ),
        get("/v1/profiles/{id:path}/behaviour", profiles.get_behaviour, s.PROFILES_READ),
        get("/v1/profiles/{id:path}", profiles.get_profile, s.PROFILES_READ),
        put("/v1/profiles/{id:path}", profiles.put_profile, s.PROFILES_WRITE, small),
        delete("/v1/profiles/{id:path}", erasures.delete_profile, s.PROFILES_WRITE),
        get("/v1/erasures", erasures.list_erasures, s.ADMIN),
        get("/v1/erasures/{id}", erasures.get_erasure, s.ADMIN),
        get("/v1/imports/{id:path}", imports.get_import, s.PROFILES_READ),
        put("/v1/imports/{id:path}", imports.put_import, s.PROFILES_WRITE, rows, (409,)),
        get("/v1/conversions", conversions.list_conversions, s.REPORTS_READ),
        post("/v1/conversions", conversions.post_conversions, s.CONVERSIONS_WRITE, report),
        get("/v1/devices/{id:path}/explain", explain.explain_device, s.REPORTS_READ),
        post("/v1/devices/{id:path}/trace", devices.trace_device, s.TRACES_WRITE, small),
        gone("/v1/devices/{id:path}/trace", devices.end_trace, s.TRACES_WRITE),
        post(
            "/v1/devices/{id:path}/credentials",
            devices.device_credentials,
            s.DEVICES_WRITE,
            problems=(409,),
        ),
        get("/v1/devices/{id:path}/tokens", device_tokens.list_tokens, s.DEVICES_WRITE),
        post(
            "/v1/devices/{id:path}/tokens",
            device_tokens.create_token,
            s.DEVICES_WRITE,
            small,
            (409,),
            status=201,
        ),
        gone(
            "/v1/devices/{id:path}/tokens/{token}",
            device_tokens.revoke_token,
            s.DEVICES_WRITE,
        ),
        get("/v1/devices/{id:path}", devices.get_device, s.REPORTS_READ),
        get("/v1/transitions", history.list_transitions, s.REPORTS_READ),
        get("/v1/decisions", history.list_decisions, s.REPORTS_READ),
        get("/v1/deliveries", deliveries.list_deliveries, s.REPORTS_READ),
        post(
            "/v1/deliveries:replay",
            deliveries.replay_deliveries,
            s.DELIVERIES_WRITE,
            small,
            status=202,
            problems=(404,),
        ),
        get("/v1/deliveries/{id}", deliveries.get_delivery, s.REPORTS_READ),
        post(
            "/v1/deliveries/{id}:replay", deliveries.replay_delivery, s.DELIVERIES_WRITE, status=202
        ),
        get("/v1/dead-letters", deliveries.list_dead_letters, s.REPORTS_READ),
        get("/v1/reports/campaigns", reports.report_campaigns, s.REPORTS_READ, **reports.ALL),
        get(
            "/v1/reports/campaigns/{id:path}",
            reports.report_campaign,
            s.REPORTS_READ,
            **reports.ONE,
        ),
        get("/v1/reports/zones/{id:path}", reports.report_zone, s.REPORTS_READ, **reports.ZONE),
        get(
            "/v1/exports/zones/{id:path}/visitors",
            exports.export_visitors,
            s.EXPORTS_READ,
            **exports.LIST,
        ),
        get(
            "/v1/exports/audiences/{id:path}",
            exports.export_audience,
            s.EXPORTS_READ,
            **exports.LIST,
        ),
        get("/v1/keys", keys.list_keys, s.ADMIN),
        post("/v1/keys", keys.create_key, s.ADMIN, small, status=201),
        post("/v1/keys/{id}:rotate", keys.rotate_key, s.ADMIN, small, (409,), status=201),
        gone("/v1/keys/{id}", keys.revoke_key, s.ADMIN),
        get("/v1/audit", audit.list_audit, s.ADMIN),
        get("/v1/settings", settings.show_settings, s.ADMIN),
        get("/v1/live", live.follow, s.REPORTS_READ, **stream),
        get("/v1/session", sessions.show_session, None, answer=sessions.SessionAnswer),
        post("/v1/session", sessions.sign_in, None, small, guess, answer=sessions.SessionAnswer),
        gone("/v1/session", sessions.sign_out, None),
        get("/livez", health.livez, None),
        get("/readyz", health.readyz, None, also={503: health.ReadyAnswer}),
        get("/metrics", health.metrics, watch, answer=health.MetricsAnswer, gives="text/plain"),
    )


def create_app(services: Services) -> FastAPI:
    """Return the application that serves the API.

    Parameters
    ----------
    services
        What it stands on. They are used, not owned: whoever made them stops them, after the
        application.

    Examples
    --------
    >>> from geotarget.api import create_app, Services  # doctest: +SKIP
    >>> uvicorn.run(create_app(Services(...)))  # doctest: +SKIP
    """
    limits = services.limits
    quarantine = Quarantine(
        limits.geometry, limit_s=limits.check_s, memory_bytes=limits.check_memory_bytes
    )
    doorkeeper = Doorkeeper(
        services.store.authenticate,
        admin_key=services.admin_key,
        limits=limits.callers,
        session_secret=services.store.secret("console-session"),
        by_session=services.store.key_of_session,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            quarantine.close()

    app = FastAPI(
        title="geotarget",
        version=services.version,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    broadcast = Broadcast(services.store, services.scene)
    zone_map = ZoneMap(services.catalog, services.store)
    app.state.context = Context(services, doorkeeper, quarantine, broadcast, zone_map)
    rows = table(limits, open_metrics=services.open_metrics)
    app.router.routes.extend(_route(row) for row in rows)
    problems.install(app)
    app.add_middleware(SafeHeaders)
    openapi.install(app, rows)
    console.install(app)
    return app


_built: dict[tuple[str, str], GuardedRoute] = {}


def _route(row: Row) -> GuardedRoute:
    """Build a route, or return the last one if it is the same.

    Building all of them takes a sixth of a second, which tests would pay for each application. A
    route finds what it stands on in the application of the request.
    """
    route = _built.get((row.method, row.path))
    if route is None or route.row != row:
        route = _built[row.method, row.path] = GuardedRoute(row)
    return route
