"""The chart, rendered with every set of values: what must hold whichever is installed."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from deploy.helm.checks import chart
from deploy.helm.checks.chart import INSTALLATIONS, ChartError, documents
from tests.unit.deploy.settings_names import SETTINGS, variables

_WORKLOADS = ("Deployment", "StatefulSet")
_PUBLIC_ADDRESSES = ("LUMEN_CONSOLE_API_URL", "LUMEN_CONSOLE_PUBLIC_URL", "LUMEN_EDGE_CORS_ORIGINS")
_DRAIN = ("edge.drainOrphans={3}",)
# What a service flushes and closes after its last stream (`_FLUSH_S_MAX` in services/edge/bootstrap.py).
_FLUSH_S = 30

every_installation = pytest.mark.parametrize("installation", INSTALLATIONS)


def workloads(installation: str, sets: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """component -> its Deployment or StatefulSet"""
    return {
        document["metadata"]["labels"]["app.kubernetes.io/component"]: document
        for document in documents(installation, sets)
        if document["kind"] in _WORKLOADS
    }


def pods(installation: str, sets: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    for document in documents(installation, sets):
        if document["kind"] in (*_WORKLOADS, "Job"):
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def environment(pod: dict[str, Any]) -> dict[str, Any]:
    return {variable["name"]: variable for variable in pod["containers"][0]["env"]}


def of_kind(installation: str, kind: str) -> dict[str, dict[str, Any]]:
    return {d["metadata"]["name"]: d for d in documents(installation) if d["kind"] == kind}


@every_installation
def test_every_service_runs(installation: str) -> None:
    assert set(workloads(installation)) == set(SETTINGS)


@every_installation
def test_every_variable_is_one_that_the_service_reads(installation: str) -> None:
    for service, workload in workloads(installation).items():
        given = set(environment(workload["spec"]["template"]["spec"])) - {
            "SSL_CERT_FILE",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        }
        assert given <= set(variables(service)), service


@every_installation
def test_every_required_setting_is_given_and_every_value_is_accepted(installation: str) -> None:
    for service, workload in workloads(installation).items():
        given = environment(workload["spec"]["template"]["spec"])
        fields = {
            variables(service)[name]: v.get("value", "x") for name, v in given.items() if name in variables(service)
        }
        settings = SETTINGS[service].model_validate(fields)
        assert settings.ops_port == 9090
        assert settings.ops_host == "0.0.0.0"


@every_installation
def test_no_secret_is_written_out_and_no_secret_object_is_made(installation: str) -> None:
    assert not of_kind(installation, "Secret")
    for _, pod in pods(installation):
        for name, variable in environment(pod).items():
            if name.endswith(("_URL", "_TOKEN", "_KEY")) and name not in _PUBLIC_ADDRESSES:
                assert set(variable) == {"name", "valueFrom"}, name
                assert set(variable["valueFrom"]) == {"secretKeyRef"}, name


@every_installation
def test_the_grace_period_outlives_the_longest_stream_its_flush_and_the_endpoints_removal(installation: str) -> None:
    edge = workloads(installation)["edge"]["spec"]["template"]["spec"]
    container = edge["containers"][0]
    stream_s = float(environment(edge)["LUMEN_EDGE_SHUTDOWN_DRAIN_S_MAX"]["value"])
    removal_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert edge["terminationGracePeriodSeconds"] >= removal_s + stream_s + _FLUSH_S + 10


def test_one_value_moves_drain_grace_period_lease_and_route() -> None:
    sets = ("longestStreamS=7200",)
    found = workloads("small", sets)
    edge, auth = (found[service]["spec"]["template"]["spec"] for service in ("edge", "auth"))
    assert environment(edge)["LUMEN_EDGE_SHUTDOWN_DRAIN_S_MAX"]["value"] == "7200"
    assert environment(auth)["LUMEN_AUTH_LEASE_REQUEST_S_MAX"]["value"] == "7200"
    assert edge["terminationGracePeriodSeconds"] == 7275
    (route,) = (d for d in documents("small", sets) if d["kind"] == "HTTPRoute")
    assert route["spec"]["rules"][0]["timeouts"] == {"request": "7260s", "backendRequest": "7260s"}


@every_installation
def test_probes_ask_the_operators_port_and_only_readiness_asks_about_others(installation: str) -> None:
    for workload in workloads(installation).values():
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        paths = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert ports["ops"] == 9090
        assert {probe["port"] for probe in paths.values()} == {"ops"}
        assert {kind: probe["path"] for kind, probe in paths.items()} == {
            "startup": "/healthz",
            "liveness": "/healthz",
            "readiness": "/readyz",
        }
        # A service waits 60 s for NATS before it opens that port, and then ends by itself.
        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] > 60 + 15


@every_installation
def test_pods_are_locked_down(installation: str) -> None:
    for name, pod in pods(installation, _DRAIN if installation == "default" else ()):
        assert pod["automountServiceAccountToken"] is False, name
        # Else a Service named lumen-auth sets LUMEN_AUTH_PORT=tcp://..., which no port is.
        assert pod["enableServiceLinks"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
        assert not any("hostPath" in volume for volume in pod["volumes"])
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


@every_installation
def test_service_accounts_carry_no_token(installation: str) -> None:
    accounts = of_kind(installation, "ServiceAccount")
    assert {pod["serviceAccountName"] for _, pod in pods(installation)} == set(accounts)
    assert all(account["automountServiceAccountToken"] is False for account in accounts.values())


@every_installation
def test_every_selector_finds_exactly_its_own_pods(installation: str) -> None:
    labels = {
        component: workload["spec"]["template"]["metadata"]["labels"]
        for component, workload in workloads(installation).items()
    }
    for kind in ("Service", "PodDisruptionBudget", "PodMonitor"):
        for name, document in of_kind(installation, kind).items():
            selector = document["spec"]["selector"]
            wanted = selector.get("matchLabels", selector)
            found = [component for component, own in labels.items() if wanted.items() <= own.items()]
            assert found == [document["metadata"]["labels"]["app.kubernetes.io/component"]], (kind, name)


@every_installation
def test_grpc_goes_to_headless_services_that_exist_at_the_port_that_is_served(installation: str) -> None:
    services = of_kind(installation, "Service")
    for workload in workloads(installation).values():
        for name, variable in environment(workload["spec"]["template"]["spec"]).items():
            if not name.endswith("_ADDRESS"):
                continue
            host, port = variable["value"].removeprefix("dns:///").split(":")
            service = services[host.removesuffix(f".{chart.NAMESPACE}.svc")]["spec"]
            assert service["clusterIP"] == "None"
            [served] = [each for each in service["ports"] if str(each["port"]) == port]
            assert served["name"] == ("queries" if name == "LUMEN_BILLING_QUERIES_ADDRESS" else "grpc")
            target = workloads(installation)[name.split("_")[1].lower()]
            ports = target["spec"]["template"]["spec"]["containers"][0]["ports"]
            assert {"name": served["name"], "containerPort": int(port)} in ports


@every_installation
def test_edges_reach_of_billing_what_answers_questions_and_not_what_posts_credits(installation: str) -> None:
    policies = of_kind(installation, "NetworkPolicy")
    from_edge = [
        [port["port"] for port in rule["ports"]]
        for rule in policies["lumen-billing"]["spec"]["ingress"]
        if any(
            peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component") == "edge"
            for peer in rule.get("from", [])
        )
    ]
    assert from_edge == [[7085]]


@every_installation
def test_metadata_addresses_are_out_of_reach_and_only_edges_reach_providers(installation: str) -> None:
    metadata = [ip_address(text) for text in ("169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254")]
    for name, policy in of_kind(installation, "NetworkPolicy").items():
        for rule in policy["spec"].get("egress", []):
            for peer in rule["to"]:
                if (block := peer.get("ipBlock")) is None:
                    continue
                network, holes = ip_network(block["cidr"]), [ip_network(hole) for hole in block.get("except", [])]
                reached = [a for a in metadata if a in network and not any(a in hole for hole in holes)]
                assert not reached, name
                if rule["ports"] == [{"protocol": "TCP", "port": 443}]:
                    assert name == "lumen-edge"
                    assert any(ip_address("10.1.2.3") in hole for hole in holes) or network.version == 6


@every_installation
def test_webhooks_reach_public_addresses_only_when_they_are_switched_on(installation: str) -> None:
    on = (
        "networkPolicies.consoleWebhooks.enabled=true",
        "networkPolicies.privateProviders[0].ipBlock.cidr=10.9.0.0/16",
    )
    [policy] = [
        document
        for document in documents(installation, on)
        if document["kind"] == "NetworkPolicy" and document["metadata"]["name"] == "lumen-console"
    ]
    [rule] = [each for each in policy["spec"]["egress"] if each["ports"] == [{"protocol": "TCP", "port": 443}]]
    blocks = [peer["ipBlock"] for peer in rule["to"]]

    def is_reached(text: str) -> bool:
        address = ip_address(text)
        return any(
            address in ip_network(block["cidr"])
            and not any(address in ip_network(hole) for hole in block.get("except", []))
            for block in blocks
        )

    assert all(map(is_reached, ("93.184.215.14", "2606:2800:21f:cb07::1")))
    inside = ("10.1.2.3", "10.9.1.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "168.63.129.16")
    assert not any(map(is_reached, (*inside, "fd00:ec2::254", "fe80::1")))


def told(installation: str, *sets: str) -> dict[str, str]:
    """What the pods are told of the public addresses."""
    return {
        name: variable["value"]
        for workload in workloads(installation, sets).values()
        for name, variable in environment(workload["spec"]["template"]["spec"]).items()
        if name in _PUBLIC_ADDRESSES
    }


def test_host_names_tell_the_pods_where_they_are_found() -> None:
    assert told("default") == {}
    assert told("small") == {"LUMEN_CONSOLE_API_URL": "https://lumen.example.com"}
    assert told("no-spool") == {"LUMEN_CONSOLE_API_URL": "https://lumen.example.com"}
    assert told("no-spool", "ingress.tlsSecret=") == {"LUMEN_CONSOLE_API_URL": "http://lumen.example.com"}
    assert told("production") == {
        "LUMEN_CONSOLE_API_URL": "https://lumen.example.com",
        "LUMEN_CONSOLE_PUBLIC_URL": "https://lumen-admin.example.com",
        "LUMEN_EDGE_CORS_ORIGINS": "https://lumen-admin.example.com",
    }


def test_wildcards_tell_nothing_and_settings_win_over_host_names() -> None:
    names = "gateway.consoleHostnames={*.example.com,a.example.com,b.example.com}"
    assert told("production", names, "gateway.scheme=http", "gateway.hostnames={*.example.com}") == {
        "LUMEN_CONSOLE_PUBLIC_URL": "http://a.example.com",
        "LUMEN_EDGE_CORS_ORIGINS": "http://a.example.com,http://b.example.com",
    }
    own = "console.settings.LUMEN_CONSOLE_API_URL=https://api.example.org"
    assert told("production", own)["LUMEN_CONSOLE_API_URL"] == "https://api.example.org"


@every_installation
def test_only_billing_and_the_reading_console_reach_clickhouse(installation: str) -> None:
    values_port = 8443 if installation in ("production", "multi-zone") else 8123
    reaching = {
        name
        for name, policy in of_kind(installation, "NetworkPolicy").items()
        if any({"protocol": "TCP", "port": values_port} in rule["ports"] for rule in policy["spec"].get("egress", []))
    }
    assert reaching == {"lumen-billing", "lumen-console"}
    keys = {
        service: environment(workload["spec"]["template"]["spec"])["LUMEN_CLICKHOUSE_URL"]["valueFrom"]["secretKeyRef"][
            "key"
        ]
        for service, workload in workloads(installation).items()
        if service in ("billing", "console")
    }
    assert keys == {"billing": "clickhouse-url", "console": "clickhouse-read-url"}


def test_a_scale_in_keeps_the_spool_and_a_job_may_publish_it() -> None:
    edge = workloads("default")["edge"]["spec"]
    assert edge["persistentVolumeClaimRetentionPolicy"] == {"whenScaled": "Retain", "whenDeleted": "Retain"}
    (job,) = (d for d in documents("default", _DRAIN) if d["kind"] == "Job")
    pod = job["spec"]["template"]["spec"]
    claim = edge["volumeClaimTemplates"][0]["metadata"]["name"]
    assert {"name": claim, "persistentVolumeClaim": {"claimName": "state-lumen-edge-3"}} in pod["volumes"]
    assert pod["containers"][0]["command"] == ["python", "-m", "services.edge.spool_drain"]
    edge_variables = environment(edge["template"]["spec"])
    assert edge_variables["LUMEN_EDGE_STATE_DIR"] == environment(pod)["LUMEN_EDGE_STATE_DIR"]


def test_an_edge_that_still_runs_is_not_drained_beside_itself() -> None:
    with pytest.raises(ChartError, match="edge 0 is no orphan"):
        documents("default", ("edge.drainOrphans={0}",))


def test_edges_without_a_volume_say_so() -> None:
    edge = workloads("no-spool")["edge"]
    assert edge["kind"] == "Deployment"
    assert environment(edge["spec"]["template"]["spec"])["LUMEN_EDGE_HAS_SPOOL"]["value"] == "false"


def test_the_ingress_neither_buffers_nor_ends_streams() -> None:
    (ingress,) = of_kind("no-spool", "Ingress").values()
    annotations = ingress["metadata"]["annotations"]
    assert annotations["nginx.org/proxy-buffering"] == "false"
    assert annotations["nginx.org/proxy-read-timeout"] == "3660s"


@pytest.mark.parametrize("installation", ["production", "multi-zone"])
def test_production_replicates_everything_that_can_be(installation: str) -> None:
    found = workloads(installation)
    for service, variable in (
        ("auth", "LUMEN_AUTH_KV_REPLICAS"),
        ("router", "LUMEN_ROUTER_KV_REPLICAS"),
        ("billing", "LUMEN_BILLING_STREAM_REPLICAS"),
    ):
        assert environment(found[service]["spec"]["template"]["spec"])[variable]["value"] == "3"
    assert all(found[service]["spec"]["replicas"] >= 2 for service in ("auth", "router", "billing", "console"))
    assert "replicas" not in found["edge"]["spec"]  # the autoscaler's
    scaler = of_kind(installation, "HorizontalPodAutoscaler") or of_kind(installation, "ScaledObject")
    assert set(scaler) == {"lumen-edge"}


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("edge.replcas=3", "replcas"),
        ("edge.settings.LUMEN_EDGE_SHUTDOWN_DRAIN_S_MAX=x", "the chart sets it"),
        ("edge.settings.LUMEN_AUTH_HOST=x", "LUMEN_AUTH_HOST"),
        ("stores.nats.replicas=2", "replicas"),
        ("providers.apiKey=sk-x", "apiKey"),
        ("longestStreamS=0", "longestStreamS"),
        ("gateway.enabled=true", "gateway.parentRefs"),
        ("gateway.scheme=ftp", "scheme"),
        ("ingress.enabled=true", "ingress.host"),
        ("edge.autoscaling.mode=keda", "prometheusUrl"),
    ],
)
def test_a_mistaken_value_is_refused(mistake: str, said: str) -> None:
    with pytest.raises(ChartError, match=said):
        chart.template("default", [mistake])


def test_traces_go_where_they_may_and_nowhere_unless_asked_for() -> None:
    asking = {"edge", "auth", "router", "billing"}
    for installation, expected in (("default", set()), ("production", asking)):
        tracing = {
            service
            for service, workload in workloads(installation).items()
            if "LUMEN_TRACING" in environment(workload["spec"]["template"]["spec"])
        }
        allowed = {
            document["metadata"]["name"].removeprefix("lumen-")
            for document in documents(installation)
            if document["kind"] == "NetworkPolicy"
            and any(
                port["port"] == 4318 for rule in document["spec"].get("egress", []) for port in rule.get("ports", [])
            )
        }
        assert tracing == allowed == expected, installation
