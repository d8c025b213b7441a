"""Names of metrics in alerts and dashboard, and the alerts themselves, against the sources and promtool."""
import json, pathlib, re, shutil

from chart import CHART, HERE, ROOT, TOOLS, ok, run


def metrics(promtool):
    import yaml

    names = set()
    for source in ROOT.glob("crates/*/src/**/*.rs"):
        text = source.read_text().split("#[cfg(test)]")[0]
        names |= set(re.findall(r'(?:\br(?:egistry)?\.register\(|\bput\()\s*"([a-z_]+)"', text))
        # Those that are read on demand, several at once.
        for several in re.findall(r"\bgauges\(\s*&mut encoder,(.*?)\]", text, re.S):
            names |= set(re.findall(r'\(\s*"([a-z_]+)",', several))
    ok("metrics are found in the sources", {"requests", "limiter_away", "intake_missing_records"} <= names, names)
    alerts = (CHART / "files/alerts.yaml").read_text().replace("ERROR_BUDGET", "0.001")
    dashboard = json.loads((CHART / "files/dashboard.json").read_text())
    # Those whose names a convention gives have no prefix of ours.
    ours = re.compile(r"\b(?:tidegate_([a-z_]+)|(gen_ai_(?:client|server)_[a-z_]+))")
    named = lambda text: [own or other for own, other in ours.findall(text)]
    used = named(alerts)
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            used += named(target["expr"])
    for template in (CHART / "templates").glob("*"):
        # The HPA's, for one. `tidegate_` also begins what is no metric: only whole words of a `name:` count.
        used += re.findall(r"name: tidegate_([a-z_]+)", template.read_text()) if template.is_file() else []
    for name in set(used):
        bare = re.sub(r"_(total|bucket|sum|count)$", "", name)
        ok(f"{name} is a metric of ours", bare in names or name in names)
    ok("every metric of ours is shown or alerts", not (left := names - {re.sub(r"_(total|bucket|sum|count)$", "", n) for n in used}), left)
    if pathlib.Path(promtool).exists():
        file = TOOLS / "alerts.yaml"
        file.write_text(alerts)
        shutil.copy(HERE / "alerts_test.yaml", TOOLS)
        ok("promtool accepts the alerts", run(promtool, "check", "rules", file).returncode == 0, run(promtool, "check", "rules", file).stderr)
        done = run(promtool, "test", "rules", TOOLS / "alerts_test.yaml")
        ok("planted faults raise the alerts", done.returncode == 0, done.stdout + done.stderr)
        told = {a["alertname"] for t in yaml.safe_load((HERE / "alerts_test.yaml").read_text())["tests"] for a in t["alert_rule_test"] if a["exp_alerts"]}
        all_alerts = {rule["alert"] for group in yaml.safe_load(alerts)["groups"] for rule in group["rules"]}
        ok("every alert has its fault", told == all_alerts, all_alerts - told)
    else:
        print("promtool is not to be had here: alerts unchecked")
