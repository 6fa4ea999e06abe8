"""A signpost for C{twistd}: it names the service and imports nothing of ours."""

from twisted.application.service import ServiceMaker

trailcam = ServiceMaker(
    "trailcam",
    "trailcam.service",
    "Bring home the pictures of Wi-Fi trail cameras.",
    "trailcam",
)
