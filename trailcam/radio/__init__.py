"""
The radios of the station: Bluetooth LE to wake a camera, Wi-Fi to join its network.

The libraries for them need asyncio; they run on a loop in a thread of their
own (L{trailcam.radio.background}) and come with the extra C{radio}.
"""
