"""The dashboard of the workers, as Grafana imports it: python dashboards.py > soundscape.json

scripts/test-infra runs this with the packages of lock/infra.txt and compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, Row, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode

SOURCE = DataSourceRef(type_val="prometheus", uid="$source")
STEP = "$__rate_interval"


@dataclass(frozen=True)
class Graph:
    """A panel: its title, unit, and (expression, legend) of each query."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    description: str = ""
    stat: bool = False
    red_from: float | None = None


def quantile(share: float, metric: str, by: str) -> str:
    """Return the expression of a quantile of a histogram."""
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket[{STEP}])))"


ROWS: dict[str, Sequence[Graph]] = {
    "What people wait for": (
        Graph(
            "Oldest recording that waits",
            "s",
            [("max(soundscape_queue_oldest_seconds)", "")],
            stat=True,
            red_from=60,
        ),
        Graph(
            "Minutes over the objective, last 6 h",
            "percentunit",
            [("soundscape:slow_minutes:ratio_6h", "")],
            "The objective is 1 %: see the alerts.",
            stat=True,
            red_from=0.01,
        ),
        Graph(
            "Given up, last 24 h",
            "short",
            [('sum(increase(soundscape_jobs_total{outcome="dead"}[24h])) or vector(0)', "")],
            stat=True,
            red_from=1,
        ),
        Graph("Workers", "short", [('count(up{job="soundscape"} == 1) or vector(0)', "")], stat=True),
        Graph(
            "Age of the oldest recording",
            "s",
            [("max by (queue) (soundscape_queue_oldest_seconds)", "{{queue}}")],
        ),
        Graph("Jobs", "short", [("max by (queue, state) (soundscape_queue_jobs)", "{{queue}} {{state}}")]),
    ),
    "Attempts": (
        Graph(
            "Attempts a minute, by how they end",
            "short",
            [(f"sum by (outcome) (rate(soundscape_jobs_total[{STEP}])) * 60", "{{outcome}}")],
        ),
        Graph(
            "Failures a minute, by code",
            "short",
            [
                (
                    f'sum by (code) (rate(soundscape_jobs_total{{outcome!="succeeded"}}[{STEP}])) * 60',
                    "{{code}}",
                )
            ],
        ),
        Graph(
            "Parts of an attempt, 95 of 100",
            "s",
            [(quantile(0.95, "soundscape_job_leg_seconds", "leg"), "{{leg}}")],
        ),
        Graph(
            "Stages of the analysis, median",
            "s",
            [(quantile(0.5, "soundscape_stage_seconds", "stage"), "{{stage}}")],
        ),
    ),
    "Workers": (
        Graph(
            "Readiness",
            "short",
            [("min by (check) (soundscape_check_state)", "{{check}}")],
            "2 ok, 1 degraded, 0 failed. The worst worker.",
        ),
        Graph(
            "Children killed, leases lost, an hour",
            "short",
            [
                ("sum(increase(soundscape_children_killed_total[1h]))", "children killed"),
                ("sum(increase(soundscape_leases_lost_total[1h]))", "leases lost"),
            ],
        ),
        Graph(
            "Doorbell",
            "reqps",
            [(f"sum by (outcome) (rate(soundscape_doorbells_total[{STEP}]))", "{{outcome}}")],
        ),
        Graph("Fetched", "Bps", [(f"sum(rate(soundscape_fetched_bytes_total[{STEP}]))", "recordings")]),
        Graph(
            "Memory without children",
            "bytes",
            [('process_resident_memory_bytes{job="soundscape"}', "{{instance}}")],
        ),
        Graph(
            "Processor without children",
            "percentunit",
            [(f'rate(process_cpu_seconds_total{{job="soundscape"}}[{STEP}])', "{{instance}}")],
        ),
    ),
}


def build_panel(graph: Graph) -> Stat | Timeseries:
    """Build a number, or a graph over time."""
    panel: Stat | Timeseries
    if graph.stat:
        panel = Stat().span(6).height(4)
        if graph.red_from is not None:
            steps = [Threshold(value=None, color="green"), Threshold(value=graph.red_from, color="red")]
            panel.thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    else:
        legend = VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
        panel = Timeseries().span(12).height(8).min(0).legend(legend.placement(LegendPlacement.BOTTOM))
    panel.title(graph.title).unit(graph.unit).description(graph.description).datasource(SOURCE)
    for number, (expression, legend_format) in enumerate(graph.queries):
        query = Dataquery().expr(expression).ref_id(chr(ord("A") + number)).datasource(SOURCE)
        if legend_format:
            query.legend_format(legend_format)
        panel.with_target(query)
    return panel


def build_dashboard() -> Dashboard:
    """Build the dashboard, with a variable for the source of its figures."""
    dashboard = (
        Dashboard("SoundScape")
        .uid("soundscape")
        .tags(["soundscape"])
        .refresh("1m")
        .time("now-6h", "now")
        .readonly()
        .with_variable(DatasourceVariable("source").label("Prometheus").type("prometheus"))
    )
    for title, graphs in ROWS.items():
        dashboard.with_row(Row(title))
        for graph in graphs:
            dashboard.with_panel(build_panel(graph))
    return dashboard


if __name__ == "__main__":
    print(JSONEncoder(sort_keys=True, indent=2).encode(build_dashboard().build()))
