"""What the simulated camera says of itself: the fields of a KJK230 (PROTOCOL, command 512)."""

from __future__ import annotations

from typing import Any

__all__ = ["device_information"]

_LANGUAGES = ("en", "de", "fr", "es", "it", "pl")
_PICTURE_RESOLUTIONS = (100, 0, 2, 3, 5, 6, 8)
_VIDEO_RESOLUTIONS = (100, 1, 2, 4, 5)

_VERSIONS = {
    "fwVerName": "2.3.0.4",
    "fwVerCode": 2304,
    "bleVerName": "3.3.5",
    "bleVerCode": 335,
    "modelName": "KJK230",
    "subModelName": "KJKD",
    "productId": 115,
    "customName": "Simulator",
}
_SETTINGS = {
    "cameraNameOnOff": 0,
    "cameraName": "0000",
    "longitude": "",
    "latitude": "",
    "pwrFreq": 0,
    "infraRedLum": 3,
    "timeZoneOffset": 0,
    "timeDst": 0,
    "screenType": 7,
    "wifiSocType": 5,
    "osdInfoEnable": True,
    "WiFiLedEnable": True,
    "workMode": 0,
    "timelapseInterval": 3600,
    "shootMode": 0,
    "picResolution": 100,
    "videoResolution": 100,
    "continuousShootCnt": 1,
    "recordDuration": 10,
    "recordAudio": 1,
    "dateFormat": 1,
    "timeFormat": 0,
    "languageCode": "en",
    "workTimeOnOff": 0,
    "workTimeStartHour": 0,
    "workTimeStartMin": 0,
    "workTimeEndHour": 23,
    "workTimeEndMin": 59,
    "pirSens": 1,
    "pirCoolingTime": 10,
    "sidePirOnOff": 1,
    "enableAiFilter": 0,
    "secureCodeOnOff": 0,
    "defaultMicVolume": 80,
    "defaultSpkVolume": 80,
    "recordMode": 0,
    "sdCardFormatErr": 0,
    "spkVol": 80,
    "micVol": 80,
    "lum": 0,
}
_POWER = {
    "emergencyBatPercent": 0,
    "batType": 1,
    "curBatType": 1,
    "isCharging": False,
    "isSolarCharging": False,
    "temperature": 9,
}


def device_information(
    unit: str, wall_clock: int, battery: int, total_mb: int, free_mb: int
) -> dict[str, Any]:
    """
    The answer to command 512, without the fields that every answer has.

    @param unit: the unit's own id.
    """
    return {
        "devId": unit,
        **_VERSIONS,
        **_SETTINGS,
        "timeUTC": wall_clock,
        "batPercent": battery,
        **_POWER,
        **{f"detectionAreaVertex{n}{axis}": 0 for n in range(4) for axis in "XY"},
        **{f"secureCode{n}": 0 for n in range(4)},
        "sdTotalMB": total_mb,
        "sdFreeMB": free_mb,
        "capability": {
            "platform": "T23ZN",
            "languages": [{"langCode": code} for code in _LANGUAGES],
            "imgResolutions": [{"resolution": code} for code in _PICTURE_RESOLUTIONS],
            "videoResolutions": [{"resolution": code} for code in _VIDEO_RESOLUTIONS],
            "enableAiFilter": True,
            "supportScreen": True,
            "supportOsdInfo": True,
            "supportInfraRed": True,
        },
    }
