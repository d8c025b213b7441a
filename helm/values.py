"""The chart's values: documented, known to earlier releases or filled in for them."""
import pathlib, re, shutil, tempfile

from chart import CHART, HERE, must, ok, run
from rendered import enrols, steady


def table():
    """One row for each commented value of values.yaml."""
    rows, path, about = [], [], None
    for line in (CHART / "values.yaml").read_text().splitlines():
        if match := re.match(r" *# -- (.*)", line):
            about = match[1]
        elif match := re.match(r"( *)([A-Za-z]+):(.*)", line):
            depth, key, default = len(match[1]) // 2, match[2], match[3].strip()
            path[depth:] = [key]
            if about:
                rows.append(("`" + ".".join(path) + "`", f"`{default}`" if default else "see values.yaml", about))
            about = None
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *("| " + " | ".join(row) + " |" for row in rows)])


def readme(write):
    file = CHART / "README.md"
    start, end = "<!-- values -->", "<!-- end of values -->"
    before, rest = file.read_text().split(start)
    text = before + start + "\n" + table() + "\n" + end + rest.split(end)[1]
    if write:
        file.write_text(text)
    ok("README.md has the values of values.yaml (helm/check --write)", file.read_text() == text)


def recorded():
    """The values of each recorded release's chart, by its name."""
    import yaml

    return {file.stem: yaml.safe_load(file.read_text()) for file in sorted((HERE / "releases").glob("*.yaml"))}


def defaults(write):
    """The chart's own copy of those of its values that an earlier chart did not know, which templates can read; a number in it tells whose they are."""
    import hashlib, yaml

    file, copy = CHART / "values.yaml", CHART / "files/defaults.yaml"
    text = file.read_text()
    bare = re.sub(r'^valuesOf: ".*"$', 'valuesOf: ""', text, flags=re.M)
    ours = bare.replace('valuesOf: ""', f'valuesOf: "{hashlib.sha256(bare.encode()).hexdigest()[:12]}"', 1)
    values = yaml.safe_load(ours)
    late = {leaf for before in recorded().values() for leaf in set(leaves(values)) - set(leaves(before))} | {"valuesOf"}
    about = "# What a recorded release (helm/releases) lacks of values.yaml (helm/check --write).\n"
    brief = about + re.sub(r"^valuesOf: .*$", f'valuesOf: "{values["valuesOf"]}"', yaml.safe_dump(only(values, late), sort_keys=False, width=1000), flags=re.M)
    if write:
        file.write_text(ours)
        copy.write_text(brief)
    ok("values.yaml says whose it is (helm/check --write)", text == ours or write)
    ok("files/defaults.yaml has what earlier charts did not know (helm/check --write)", copy.read_text() == brief)


def only(values, wanted, path=""):
    """Of values those whose leaves are wanted."""
    found = {}
    for key, value in values.items():
        leaf = f"{path}.{key}" if path else key
        if leaf in wanted:
            found[key] = value
        elif isinstance(value, dict) and (inner := only(value, wanted, leaf)):
            found[key] = inner
    return found


def upgrades(helm):
    """`helm upgrade --reuse-values` renders this chart with the values that an earlier release's chart had."""
    import yaml

    current = yaml.safe_load((CHART / "values.yaml").read_text())
    for name, before in recorded().items():
        lacking = sorted(set(leaves(current)) - set(leaves(before)))
        ok(f"{name}: positive control: its chart knew less", len(lacking) > 3)
        # A chart that knew no method of enrolment knew the seed: its nodes keep it.
        by_seed = "enrolment.method" in lacking
        kept = ["--set", "enrolment.method=seed"] if by_seed else []
        with tempfile.TemporaryDirectory() as folder:
            chart = pathlib.Path(folder) / "tidegate"
            shutil.copytree(CHART, chart)
            shutil.copy(HERE / f"releases/{name}.yaml", chart / "values.yaml")
            for example in ("small", "production", "nulls"):
                given = HERE / "releases" / name / f"{example}.yaml"
                reused = must(helm, "template", "tg", chart, "-f", given)
                fresh = must(helm, "template", "tg", CHART, "-f", given, *kept)
                reused, fresh = ([one for one in yaml.safe_load_all(text) if one] for text in (reused, fresh))
                ok(f"{name}, {example}: --reuse-values renders what --reset-then-reuse-values does", steady(reused) == steady(fresh))
                ok(f"{name}, {example}: nodes enrol as before", enrols(reused) == (by_seed, not by_seed), enrols(reused))
                ok(f"{name}, {example}: what was set to null stays away", has_nulls(reused) == (example == "nulls"))
            helpers = chart / "templates/_helpers.tpl"
            whole = helpers.read_text()
            # Positive control: to whom all of values.yaml is filled in, nulls come back.
            shutil.copy(CHART / "values.yaml", chart / "files/defaults.yaml")
            refilled = must(helm, "template", "tg", chart, "-f", HERE / "releases" / name / "nulls.yaml")
            ok(f"{name}: positive control: nulls would be seen to come back", not has_nulls([one for one in yaml.safe_load_all(refilled) if one]))
            shutil.copy(CHART / "files/defaults.yaml", chart / "files/defaults.yaml")
            helpers.write_text(whole.replace('include "tidegate.fill" (list .Values $defaults)', '""'))
            broken = run(helm, "template", "tg", chart, "-f", HERE / "releases" / name / "production.yaml")
            ok(f"{name}: positive control: it does not render without them", broken.returncode != 0)


def has_nulls(documents):
    """Whether nodes have what examples `nulls.yaml` leave: no user, no group and no limits of their own."""
    pod, = [d["spec"]["template"]["spec"] for d in documents if d["kind"] == "StatefulSet" and "-node-" in d["metadata"]["name"]]
    node, = [container for container in pod["containers"] if container["name"] == "node"]
    return not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod["securityContext"]) and "limits" not in node["resources"]


def leaves(value, path=""):
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path


def documented(values):
    named = set(re.findall(r"^\| `([A-Za-z.]+)`", (CHART / "README.md").read_text(), re.M))
    for leaf in leaves(values):
        parts = leaf.split(".")
        ok(f"{leaf} is documented", any(".".join(parts[:n]) in named for n in range(1, len(parts) + 1)))
