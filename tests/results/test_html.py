"""The HTML page: that it needs nothing, injects nothing, stays small; and that a browser shows and sorts it."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from made_up import study
from matplotlib.figure import Figure

from ray_asng.results.document import Bullets, Code, Details, Heading, Paragraph, Picture, Table
from ray_asng.results.figures import MOST_SEARCHES
from ray_asng.results.html import LARGEST, LARGEST_WITH_DETAILS, page
from ray_asng.results.inline import code, literal
from ray_asng.results.report import write_report
from ray_asng.results.store import write_table
from ray_asng.results.style import save
from ray_asng.results.summary import content

HOSTILE = "<script>fail()</script> | \"a\" 'b' & `c` **d** </td></details>"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IN_BROWSER = pytest.mark.skipif(BROWSER is None, reason="no Chromium here (on Debian: apt-get install chromium)")
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
OFFLINE = ("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr")

CLICK_EVERY_HEADER = """
const seen = [];
for (const table of document.querySelectorAll("main table")) {
  const read = (column) => Array.from(table.tBodies[0].rows, (row) => row.cells[column].textContent);
  const columns = Array.from(table.tHead.rows[0].cells, (header, column) => {
    const states = [read(column)];
    for (let click = 0; click < 3; click++) { header.querySelector("button").click(); states.push(read(column)); }
    return { title: header.textContent, states };
  });
  seen.push(columns);
}
const result = document.createElement("output");
result.id = "seen";
result.textContent = JSON.stringify(seen);
document.body.append(result);
"""


class Reader(HTMLParser):
    """What a parser sees: tags with their attributes, and the text without style and script."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.texts = [], [], {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open = tag

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open not in ("style", "script"):
            self.words.append(data)
        self.texts.setdefault(self._open, []).append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def browse(address, *options):
    """Run the browser; its output, and what the page wrote to the console."""
    command = [BROWSER, *QUIET, *OFFLINE, *options, address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def picture_of(folder, name, size):
    """A PNG file of about `size` bytes: zeros behind the end of a small picture are ignored by readers."""
    path = save(Figure(figsize=(1, 1)), folder / name)
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    return name


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """The page of a study of 1 000 trials; its figures are stored as small pictures of a usual number of bytes."""
    folder = tmp_path_factory.mktemp("many")
    table = study(1000, labels=("asng", "random_search", "darts", HOSTILE))
    blocks = content(table, lambda name, figure: picture_of(folder, f"{name}.png", 150_000))
    (folder / "report.html").write_text(page(blocks, folder))
    return folder / "report.html"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    write_table(study(2, labels=("asng", HOSTILE)), folder / "results.parquet")
    return write_report(folder)


def test_the_page_asks_for_nothing_from_anywhere(small):
    reader = Reader(small.page.read_text())
    addresses = [tag[key] for _, tag in reader.tags for key in ("src", "srcset", "data", "action") if key in tag]
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert [link["href"] for link in reader.all("link")] == ["data:,"]
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", small.page.read_text())
    policy = next(tag["content"] for tag in reader.all("meta") if "http-equiv" in tag)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_the_page_shows_what_the_markdown_shows(small):
    words = re.sub(r"\s+", " ", "".join(Reader(small.page.read_text()).words))
    for line in ("nasbench201 on digits", "Is a difference more than noise?", "ray-asng study many", "Device: cpu."):
        assert line in small.summary.read_text()
        assert line in words
    assert "torch 2.14.1" in words


def test_every_figure_of_a_small_report_is_in_the_page(small):
    assert len(Reader(small.page.read_text()).all("img")) == len(small.figures)


def test_a_hostile_label_is_shown_as_it_is_and_never_becomes_markup(small):
    text = small.page.read_text()
    assert "<script>fail()" not in text
    reader = Reader(text)
    assert HOSTILE in reader.texts["td"]
    assert len(reader.all("script")) == 1


def test_every_kind_of_block_is_escaped(tmp_path):
    name = picture_of(tmp_path, "a.png", 100)
    blocks = [
        Heading(literal(HOSTILE), 1),
        Heading(literal(HOSTILE)),
        Paragraph(HOSTILE),
        Bullets((HOSTILE, code(HOSTILE))),
        Table((HOSTILE,), ((HOSTILE,), (code(HOSTILE),)), HOSTILE),
        Code(HOSTILE),
        Picture(name, HOSTILE),
        Details(HOSTILE, (Paragraph(HOSTILE),)),
        Paragraph("[here](javascript:fail) and [there](https://example.org/)"),
    ]
    text = page(blocks, tmp_path)
    assert "<script>fail" not in text
    reader = Reader(text)
    assert len(reader.all("script")) == 1
    assert len(reader.all("details")) == 2
    assert reader.all("img")[0]["alt"] == HOSTILE
    assert HOSTILE in reader.texts["h2"]
    assert [link["href"] for link in reader.all("a")][-1] == "https://example.org/"
    assert not any("javascript" in link["href"] for link in reader.all("a"))


def test_headings_have_anchors_of_their_own_and_stand_in_the_contents(tmp_path):
    blocks = [Heading("Results", 1), Heading("One"), Heading("Methods", 3), Heading("Two"), Heading("Methods", 3)]
    reader = Reader(page(blocks, tmp_path))
    anchors = [tag["id"] for name, tag in reader.tags if re.fullmatch("h[1-6]", name)]
    assert anchors == ["results", "one", "methods", "two", "methods-2"]
    assert [link["href"] for link in reader.all("a")] == ["#one", "#methods", "#two", "#methods-2"]


def test_numbers_are_marked_for_sorting_and_words_are_not(tmp_path):
    table = Table(("method", "parameters"), (("asng", "73.3 k"), ("darts", "1.2 M"), ("gaea", "—")))
    cells = Reader(page([table], tmp_path)).all("td")
    assert [cell.get("data-n") for cell in cells] == [None, "73300.0", None, "1200000.0", None, None]
    assert [cell.get("class") for cell in cells] == [None, "number"] * 3


def test_pictures_of_detail_stay_in_the_folder_where_pictures_are_many(tmp_path):
    size = LARGEST_WITH_DETAILS // 2
    blocks = [Picture(picture_of(tmp_path, "a.png", size), "main")]
    blocks += [Picture(picture_of(tmp_path, "b.png", size), "detail", is_detail=True)]
    assert len(Reader(page(blocks, tmp_path)).all("img")) == 2
    blocks += [Picture(picture_of(tmp_path, "c.png", 200), "another detail", is_detail=True)]
    reader = Reader(page(blocks, tmp_path))
    assert [image["alt"] for image in reader.all("img")] == ["main"]
    assert [link["href"] for link in reader.all("a")] == ["b.png", "c.png"]


def test_a_page_embeds_no_more_pictures_than_it_has_room_for(tmp_path):
    size = LARGEST // 3
    blocks = [Picture(picture_of(tmp_path, f"{number}.png", size), str(number)) for number in range(5)]
    text = page(blocks, tmp_path)
    assert [image["alt"] for image in Reader(text).all("img")] == ["0", "1", "2"]
    assert [link["href"] for link in Reader(text).all("a")] == ["3.png", "4.png"]
    assert len(text) < 5_000_000


def test_every_trial_has_its_settings_in_closed_details(tmp_path):
    blocks = content(study(6, labels=("asng",), settings=("", "lr=0.1")), lambda name, figure: name)
    (details,) = [block for block in blocks if isinstance(block, Details)]
    shared, trials = details.blocks
    assert ("space", "`nasbench201`") in shared.rows
    assert len(trials.rows) == 6
    assert trials.header[-1] == literal("method_options.lr")
    assert {row[-1] for row in trials.rows} == {"—", "`0.1`"}
    text = page([details], tmp_path)
    assert "open" not in Reader(text).all("details")[-1]


@pytest.mark.slow
def test_the_report_of_a_thousand_trials_is_a_page_under_five_megabytes(many):
    assert many.stat().st_size < 5_000_000
    text = many.read_text()
    assert text.count("ab12f_") == 1000
    assert f"Drawn for {MOST_SEARCHES} of 750 searches" in text


@pytest.mark.slow
def test_the_report_of_a_thousand_trials_has_few_figures_which_are_all_in_its_folder(tmp_path):
    write_table(study(1000), tmp_path / "results.parquet")
    report = write_report(tmp_path)
    assert report.page.stat().st_size < 5_000_000
    assert len(report.figures) < 30
    for link in re.findall(r"]\((figures/[^)]+)\)", report.summary.read_text()):
        assert (tmp_path / link).is_file()


@IN_BROWSER
def test_a_browser_shows_the_tables_without_an_error(small, tmp_path):
    picture = tmp_path / "page.png"
    _, complaints = browse(small.page.as_uri(), f"--user-data-dir={tmp_path}/a", f"--screenshot={picture}")
    dom, more = browse(small.page.as_uri(), f"--user-data-dir={tmp_path}/b", "--dump-dom")
    assert complaints == more == []
    assert picture.read_bytes().startswith(b"\x89PNG")
    titles = [button.strip() for button in Reader(dom).texts["button"]]
    assert {"method", "seeds", "path accuracy, validation", "setting of all"} <= set(titles)


@IN_BROWSER
def test_a_browser_would_tell_of_an_error(tmp_path):
    broken = tmp_path / "broken.html"
    broken.write_text("<script>nothing.there()</script>")
    assert browse(broken.as_uri(), f"--user-data-dir={tmp_path}/a", "--dump-dom")[1]


def clicked(path, folder):
    """Every column of every table before the first and after three clicks on its header."""
    copy = folder / "clicked.html"
    copy.write_text(path.read_text().replace("</body>", f"<script>{CLICK_EVERY_HEADER}</script></body>"))
    dom, complaints = browse(copy.as_uri(), f"--user-data-dir={folder}/profile", "--dump-dom")
    assert complaints == []
    return json.loads(Reader(dom).texts["output"][0])


@IN_BROWSER
def test_a_click_sorts_upwards_then_downwards_then_as_it_was(tmp_path):
    table = Table(
        ("name", "number", "size"),
        (("b10", "10", "1.5 GiB"), ("b9", "9.5", "—"), ("a", "-3", "20 MiB"), ("c", "100", "3 GiB")),
    )
    (tmp_path / "page.html").write_text(page([table], tmp_path))
    ((names, numbers, sizes),) = clicked(tmp_path / "page.html", tmp_path)
    assert names["states"][1] == ["a", "b9", "b10", "c"]
    assert numbers["states"] == [
        ["10", "9.5", "-3", "100"],
        ["-3", "9.5", "10", "100"],
        ["100", "10", "9.5", "-3"],
        ["10", "9.5", "-3", "100"],
    ]
    assert sizes["states"][1:3] == [["20 MiB", "1.5 GiB", "3 GiB", "—"], ["3 GiB", "1.5 GiB", "20 MiB", "—"]]


@IN_BROWSER
@pytest.mark.slow
def test_every_table_of_a_thousand_trials_can_be_sorted(many, tmp_path):
    tables = clicked(many, tmp_path)
    seeds = next(columns for columns in tables if [column["title"] for column in columns][:2] == ["method", "seed"])
    values = [float(text.split()[0]) for text in seeds[2]["states"][1]]
    assert len(values) == 1000
    assert values == sorted(values)
    for columns in tables:
        for column in columns:
            assert sorted(column["states"][0]) == sorted(column["states"][2])
            assert column["states"][0] == column["states"][3]
