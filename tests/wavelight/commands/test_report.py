"""``wavelight report``: one page of results, whatever is among what it is given."""

import csv
import html
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from tests.places import ROOT
from tests.run_folders import config_of, write_run
from wavelight.__main__ import main

EVIL = "<script>alert('x')</script>"


def report(*words):
    main(["report", *map(str, words)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two systems of two seeds, one of which has a user's name, and a run on other data."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, fid in ((1, 4.0), (2, 5.0)):
        write_run(folder / "gan" / f"seed-{seed}", seed, fid + 1, fid, picture=(32, 800))
        config = config_of(seed, steps=8)
        write_run(
            folder / "evil" / f"seed-{seed}",
            seed,
            3.0,
            fid - 1,
            config,
            name=f"{EVIL}-{seed}",
            revision=EVIL,
        )
    write_run(folder / "small" / "seed-1", 1, 9.0, config=config_of(1, image_size=16))
    return folder


@pytest.fixture(scope="module")
def page(folder):
    report(folder / "*" / "seed-*", "--out", folder / "results.html")
    return (folder / "results.html").read_text()


class Texts(HTMLParser):
    """Collects what a page has outside of its tags, and its tags."""

    def __init__(self):
        super().__init__()
        self.texts, self.tags = [], []

    def handle_data(self, data):
        self.texts.append(data)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def parsed(page):
    parser = Texts()
    parser.feed(page)
    return parser


def rows(page):
    """Return the cells of all rows of all tables, without what is below titles."""
    found = re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.DOTALL)
    cells = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in found)
    return [[html.unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in row] for row in cells]


def test_measured_rows_stand_beside_the_papers(page):
    named = {row[0]: row for row in rows(page)}
    heading = next(row for row in rows(page) if row[0] == "system")
    fid = next(i for i, title in enumerate(heading) if title == "fid ↓test, 50,000 images")
    assert named["gan"][fid] == "4.5 ± 6.4"
    assert named["gan"][1] == "2"
    assert named["DDGAN"][fid] == "3.75"
    assert named["NCSN"][fid] == "25.3"
    assert '<tr class="measured"><th scope="row">gan</th>' in page
    assert '<tr class="published"><th scope="row">DDGAN</th>' in page
    assert named["held-out real images"]


def test_a_paired_test_has_its_number_of_pairs(page):
    (row,) = (row for row in rows(page) if "minus" in row[0] and row[1].startswith("fid ↓ (test"))
    assert row[2:4] == ["2", "1" if row[0].startswith("gan") else "-1"]


def test_a_run_is_told_with_its_commit_and_command(page):
    row = next(row for row in rows(page) if row[0] == "gan/seed-1")
    assert "0123456789ab" in row
    assert "python -m wavelight fit --config experiments/cifar10.yaml" in row


def test_other_data_are_told(page):
    assert "data.image_size is 32 in the first and 16 in the second." in page
    assert '<section id="data-2">' in page


def test_names_of_runs_are_escaped(page):
    found = parsed(page)
    assert "script" not in {tag for tag, _ in found.tags}
    assert EVIL in html.unescape(page)
    assert any(EVIL in text for text in found.texts)


def test_the_style_is_as_it_was_written(page):
    style = page[page.index("<style>") : page.index("</style>")]
    assert "tr > th:first-child" in style
    assert "&" not in style


def test_the_page_needs_no_other_file(page):
    tags = parsed(page).tags
    named = [
        value
        for _, attributes in tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href")
    ]
    assert named
    assert all(value.startswith(("data:image/png;base64,", "#")) for value in named)
    assert not {"link", "script", "iframe", "object"} & {tag for tag, _ in tags}
    assert "@import" not in page
    assert all(found.startswith("#") for found in re.findall(r"url\(([^)]*)\)", page))


def test_every_part_of_the_page_has_a_name_of_its_own(page):
    named = [attributes["id"] for _, attributes in parsed(page).tags if "id" in attributes]
    drawn = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawn) >= 6
    sections = [name for name in named if name.startswith("data-")]
    assert len(sections) == len(set(sections)) == 2
    for one in range(len(drawn)):
        for other in range(one):
            names = [set(re.findall(r' id="([^"]*)"', drawn[i])) for i in (one, other)]
            assert names[0].isdisjoint(names[1])


def test_figures_take_the_colours_of_the_page(page):
    drawn = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert all("currentColor" in figure for figure in drawn)
    assert not any("#010203" in figure or "#000000" in figure for figure in drawn)
    assert not any("#ffffff" in figure for figure in drawn)


def test_wide_pictures_are_shrunk(page):
    assert page.count("data:image/png;base64,") == 3
    assert "after 100,000 images" in page


@pytest.mark.slow
def test_the_same_input_is_the_same_page_in_every_process(folder, page):
    words = [str(folder / "*" / "seed-*"), "--out", str(folder / "again.html")]
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        subprocess.run(
            [sys.executable, "-m", "wavelight", "report", *words], env=environment, check=True
        )
        assert (folder / "again.html").read_text() == page


def test_rows_that_came_since_are_on_the_next_page(tmp_path):
    path = write_run(tmp_path / "run", 1, picture=(8, 8))
    metrics = (path / "metrics.csv").read_text()
    for tested in ("3.25", "2.75"):
        columns = metrics.splitlines()[0].split(",")
        values = {"images_seen": "100000", "val/fid10k": tested}
        metrics += ",".join(values.get(name, "") for name in columns) + "\n"
        (path / "metrics.csv").write_text(metrics + "100")
        report(path, "--out", tmp_path / "results.md")
        assert f" {tested} |" in (tmp_path / "results.md").read_text()


def test_markdown_has_the_same_tables_and_escapes(folder, tmp_path):
    report(folder / "*" / "seed-*", "--out", tmp_path / "results.md")
    text = (tmp_path / "results.md").read_text()
    assert "4.5 ± 6.4" in text
    assert "| DDGAN" in text
    assert "<script>" not in text
    assert "\\<script\\>" in text


def test_csv_has_all_digits(folder, tmp_path):
    report(folder / "gan" / "seed-*", "--out", tmp_path / "results.csv")
    with (tmp_path / "results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    name = "fid (test, 50,000 images)"
    kinds = [line["kind"] for line in lines]
    assert (kinds.count("mean over seeds"), kinds.count("run"), kinds.count("published")) == (
        1,
        2,
        17,
    )
    assert float(lines[0][name]) == 4.5
    assert float(lines[0][f"{name}, half width of the 95 % interval"]) == pytest.approx(
        6.3531, abs=1e-4
    )
    assert [line["seed"] for line in lines if line["kind"] == "run"] == ["1", "2"]


def test_what_is_not_shown_is_told_twice(tmp_path, capsys):
    shown = write_run(tmp_path / "run", 1, evaluations=1)
    (tmp_path / "half").mkdir()
    (tmp_path / "statistics.npz").write_bytes(b"PK")
    report(
        shown,
        tmp_path / "half",
        tmp_path / "statistics.npz",
        "--out",
        tmp_path / "x.html",
    )
    told = capsys.readouterr().err
    text = html.unescape((tmp_path / "x.html").read_text())
    for sentence in (
        f"{tmp_path / 'half'} is no folder of a run: it has no config.yaml.",
        f"{tmp_path / 'statistics.npz'} is no run's folder, no checkpoint and no JSON file.",
    ):
        assert sentence in told
        assert sentence in text


def test_a_picture_that_is_damaged_is_told(tmp_path):
    path = write_run(tmp_path / "run", 1, evaluations=1)
    (path / "samples" / "images_0000100000.png").write_bytes(b"no picture")
    report(path, "--out", tmp_path / "x.html")
    assert "images_0000100000.png cannot be shown" in (tmp_path / "x.html").read_text()


def test_without_matplotlib_the_page_has_no_figures_and_says_so(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    report(folder / "gan" / "seed-1", "--out", tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text()
    assert "Figures need matplotlib: pip install matplotlib." in text
    assert "<svg" not in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["gone", "--out", "x.html"],
            "runs must name something to show, got nothing that can be: there is no gone",
        ),
        (["gone", "--out", "x.pdf"], "out must end with .html, .md, .csv, got x.pdf"),
        (["gone"], "--out"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        report(*words)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


NO_BROWSER = pytest.mark.skipif(
    not shutil.which("chromium"), reason="looking at a page needs chromium"
)


def browse(path, profile, *options):
    """Return a page's elements as Chromium has them, and what it says."""
    browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    logged = ["--enable-logging=stderr", "--dump-dom", f"--user-data-dir={profile}"]
    return subprocess.run(
        [*browser, *logged, *options, f"file://{path}"], capture_output=True, text=True, timeout=120
    )


MEASURING = """
const wide = [...document.querySelectorAll("body > *, section > *, figure, svg, img")]
  .filter((part) => part.getBoundingClientRect().right > innerWidth + 1);
parent.postMessage(`${innerWidth} ${document.documentElement.scrollWidth} ${wide.length}`, "*");
"""
"""Tells the width of a page, that of all its content, and the number of parts that stick out."""


def measured(page, width, folder):
    """Return what a page tells of itself in a frame, which may be narrower than the least width of a window."""
    measuring = page.replace("</body>", f"<script>{MEASURING}</script></body>")
    (folder / "page.html").write_text(re.sub(r"<meta http-equiv[^>]*>", "", measuring))
    (folder / "frame.html").write_text(
        f'<iframe src="page.html" style="width:{width}px;height:900px;border:0"></iframe><pre id="found"></pre>'
        "<script>onmessage = (event) => { document.getElementById('found').textContent = event.data; }</script>"
    )
    done = browse(folder / "frame.html", folder / "profile", "--virtual-time-budget=5000")
    (found,) = re.findall(r'<pre id="found">(.*?)</pre>', done.stdout)
    return list(map(int, found.split()))


@pytest.mark.slow
@NO_BROWSER
@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_sticks_out_of_the_page(page, tmp_path, width):
    assert measured(page, width, tmp_path) == [width, width, 0]


@pytest.mark.slow
@NO_BROWSER
def test_what_sticks_out_is_found(page, tmp_path):
    wide = page.replace("<nav>", '<nav style="width: 800px">')
    assert measured(wide, 390, tmp_path)[1:] == [813, 1]


@pytest.mark.slow
@NO_BROWSER
def test_a_browser_takes_the_page_without_complaint(folder, page, tmp_path):
    done = browse(folder / "results.html", tmp_path / "profile")
    assert done.stdout.count("<svg") == page.count("<svg") > 0
    assert "CONSOLE" not in done.stderr


@pytest.mark.slow
@NO_BROWSER
def test_complaints_of_a_browser_are_found(folder, page, tmp_path):
    (tmp_path / "page.html").write_text(page.replace("<h1>", "<script>1</script><h1>"))
    assert "CONSOLE" in browse(tmp_path / "page.html", tmp_path / "profile").stderr
