"""C{openapi.json} says what the HTTP API does: no path more or less, and answers as it says."""

from __future__ import annotations

import json
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from tests.processes import ROOT, only_once
from tests.webstation import WebTestCase, reactor

DESCRIPTION = ROOT / "trailcam" / "web" / "static" / "openapi.json"
#: What has no end, or would call a camera; these have tests of their own.
ENDLESS = ("getLive", "getStill", "getStillOfPage", "listen", "visitCamera")
#: For schemathesis. What is deleted here is in the trash, and there still. That C{from} is not
#: after C{to}, and which C{before} there are, cannot be described.
SETTINGS = """
[checks]
use_after_free.enabled = false
[[operations]]
include-operation-id = ["listMedia", "listDays", "getNeighbours"]
checks.positive_data_acceptance.enabled = false
"""


class DescriptionTests(WebTestCase):
    """The file and the code."""

    async def test_every_path(self) -> None:
        """Every route of the API is described, with its methods, and what is described is there."""
        from trailcam.web.api import api_routes
        from trailcam.web.files import file_routes
        from trailcam.web.gate import Gate

        await self.serve()
        gate = Gate(self.context.access, self.context.settings)
        routes = [*api_routes(self.context, gate), *file_routes(self.context)]
        there = {
            (re.sub(r":\w+\}", "}", route.pattern), route.method.lower()): route.public
            for route in routes
            if not route.pattern.startswith("/static/")
        }
        description = json.loads(DESCRIPTION.read_text("utf-8"))
        told = {
            (path, method): operation.get("security") == []
            for path, operations in description["paths"].items()
            for method, operation in operations.items()
            if method != "parameters"
        }
        self.assertEqual(told, there)
        ids = re.findall(r'"operationId": "(\w+)"', DESCRIPTION.read_text("utf-8"))
        self.assertEqual(len(ids), len(set(ids)))

    async def test_served(self) -> None:
        """It is there for everybody, with the version of this station."""
        from trailcam import __version__

        self.set_password()
        await self.serve()
        reply = await self.get("/api/v1/openapi.json")
        self.assertEqual(reply.headers["content-type"], "application/json")
        self.assertEqual(reply.json["info"]["version"], __version__)

    async def test_as_it_says(self) -> None:
        """
        A station answers as it is described, to what makes sense and to what does not: as far as
        schemathesis can think of it.
        """
        if find_spec("schemathesis") is None:
            raise SkipTest("needs schemathesis: pip install 'trailcam[dev]'")
        only_once("browser")
        self.set_password()
        self.cameras = ("garden",)
        machine = self.token()["Authorization"]
        await self.serve()
        await self.bring(4)
        await self.bring(1, device="C60000000002", name="creek", videos=True)
        out, status = await self.examine(machine)
        self.assertEqual(status, 0, out[-6000:])
        self.assertEqual(self.flushLoggedErrors(), [])

    async def examine(self, authorization: str) -> tuple[str, int]:
        """Have schemathesis ask; what it says, and its exit status."""
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        (home / "schemathesis.toml").write_text(SETTINGS)
        arguments = [
            "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{self.port}/api/v1/openapi.json",
            "--url", f"http://127.0.0.1:{self.port}", "--header", f"Authorization: {authorization}",
            "--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--seed", "1",
            "--no-shrink", "--continue-on-failure", "--no-color", "--warnings", "off",
            "--request-timeout", "20",
        ]  # fmt: skip
        for name in ENDLESS:
            arguments += ["--exclude-operation-id", name]
        variables: dict[str, Any] = {**os.environ, "HOME": str(home)}
        out, err, status = await getProcessOutputAndValue(
            sys.executable, arguments, env=variables, path=str(home), reactor=reactor
        )
        return (out + err).decode("utf-8", "replace"), status
