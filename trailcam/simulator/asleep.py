"""
Cameras that sleep: they are woken over Bluetooth, open a network, and sleep again.

With an L{Air} a whole visit, radios included, runs on a machine that has none:
whoever is to meet the cameras is started with C{DBUS_SYSTEM_BUS_ADDRESS} set to
its L{bus_address <Air.bus_address>}. It needs C{dbus-daemon} and the extra
C{radio}, which nothing here imports before it is started.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall

from trailcam.errors import ConfigError, RadioError
from trailcam.logs import make_logger
from trailcam.radio.background import Background
from trailcam.session.events import CloseReason
from trailcam.simulator.privatebus import PrivateBus
from trailcam.simulator.server import SimulatedCamera
from trailcam.wire.wakeup import Access

if TYPE_CHECKING:
    from trailcam.simulator.bluez import BluezFaults, MockBlueZ, MockDevice
    from trailcam.simulator.networkmanager import MockNetworkManager

__all__ = ["Air", "SleepingCamera", "State"]

_EXTRA = "simulating a camera that sleeps needs the extra radio: pip install 'trailcam[radio]'"


class Air:
    """
    What a station's radios meet: a D-Bus of our own, with a mock BlueZ and a mock NetworkManager
    on it, and the cameras that were put there. One radio of each kind, however many cameras.

    @ivar cameras: they are put there as they are made, before L{start}.
    @ivar bus_address: for C{DBUS_SYSTEM_BUS_ADDRESS}; empty while there is no bus.
    @ivar bluez: the mock BlueZ and its faults, once L{start} was called.
    @ivar network_manager: the mock NetworkManager, likewise.
    """

    log = make_logger(__name__)

    bluez: MockBlueZ
    network_manager: MockNetworkManager

    def __init__(
        self,
        reactor: Any,
        *,
        interfaces: tuple[str, ...] = ("wlan0", "eth0"),
        pace: float = 0.1,
        faults: BluezFaults | None = None,
    ) -> None:
        """
        @param reactor: provides C{IReactorThreads} and C{getThreadPool}, and a clock.
        @param interfaces: the station's network devices; those that begin with C{wl} are for
            Wi-Fi, and the first of them is in the network C{Home} at first.
        @param pace: seconds that each step of joining a network takes, and a scan.
        @param faults: of Bluetooth, from the start.
        """
        self.reactor = reactor
        self.cameras: list[SleepingCamera] = []
        self.bus_address = ""
        self._interfaces = interfaces
        self._pace = pace
        self._faults = faults
        self._bus: PrivateBus | None = None
        self._background: Background | None = None

    def start(self) -> Deferred[None]:
        """
        Begin. All cameras are asleep.

        @return: fails with L{RadioError} when C{dbus-daemon} or the extra is missing, and with
            L{ConfigError} when a camera's port cannot be had; nothing is left over then.
        """
        return Deferred.fromCoroutine(self._start())

    def stop(self) -> Deferred[None]:
        """End it all. May always be called."""
        return Deferred.fromCoroutine(self._stop())

    def put(self, camera: SleepingCamera) -> None:
        """
        A camera is here from now on. It does this itself.

        @raise ConfigError: when it could not be told from another.
        """
        for other in self.cameras:
            shared = other.traits & camera.traits
            if shared:
                raise ConfigError(
                    f"two simulated cameras have {shared.pop()}: give each a Bluetooth address, "
                    "an ssid and a bssid of its own"
                )
        self.cameras.append(camera)

    def show(self, access: Access) -> None:
        """A camera's network is there: the next scan will see it."""
        from trailcam.simulator.networkmanager import SimulatedNetwork

        network = SimulatedNetwork(access.ssid, access.passphrase, access.bssid)
        self.network_manager.appear(network)

    def hide(self, access: Access) -> None:
        """It is no longer: whoever is in it loses it."""
        self.network_manager.vanish(access.ssid)

    async def _start(self) -> None:
        try:
            from trailcam.simulator.bluez import MockBlueZ
            from trailcam.simulator.networkmanager import MockNetworkManager
        except ImportError:
            raise RadioError(_EXTRA) from None
        try:
            # Not in a thread: a cancelled start would leave it behind.
            self._bus = PrivateBus()
            self.bus_address = self._bus.address
            devices = [self._device(camera) for camera in self.cameras]
            self.bluez = MockBlueZ(self.bus_address, devices, self._faults)
            self.network_manager = MockNetworkManager(
                self.bus_address, self._interfaces, pace=self._pace,
                joined=self._joined, left=self._teller(SleepingCamera.left),
            )  # fmt: skip
            self._background = Background(self.reactor)
            await self._background.run(self.bluez.start())
            await self._background.run(self.network_manager.start())
            for camera in self.cameras:
                await camera.find_port()
        except BaseException:  # cancelled, too
            await self._stop()
            raise

    async def _stop(self) -> None:
        background, self._background = self._background, None
        bus, self._bus = self._bus, None
        try:
            for camera in self.cameras:
                await camera.stop()
            if background is not None:
                await background.run(self.bluez.stop())
                await background.run(self.network_manager.stop())
        finally:
            self.bus_address = ""
            if bus is not None:
                bus.close()
            if background is not None:
                await background.close()

    def _device(self, camera: SleepingCamera) -> MockDevice:
        from trailcam.simulator.bluez import MockDevice

        def woken() -> None:  # in the other thread
            self.reactor.callFromThread(camera.woken)

        return MockDevice(camera.address, camera.name, access=camera.access, woken=woken)

    def _joined(self, ssid: str) -> None:
        self._teller(SleepingCamera.joined)(ssid)
        self.reactor.callFromThread(self.log.info, "the station is in {ssid}", ssid=ssid)

    def _teller(self, tell: Callable[[SleepingCamera], None]) -> Callable[[str], None]:
        """What tells a camera, known by its network, from the other thread."""

        def told(ssid: str) -> None:
            for camera in self.cameras:
                if camera.access.ssid == ssid:
                    self.reactor.callFromThread(tell, camera)

        return told


class State(Enum):
    """
    How far a camera has come.

    C{ASLEEP}: only Bluetooth hears. C{BOOTING}: woken, its network is not there yet.
    C{AWAKE}: its network is there. C{JOINED}: the station is in it, and the UDP ports are open.
    """

    ASLEEP = "asleep"
    BOOTING = "booting"
    AWAKE = "awake"
    JOINED = "joined"


class SleepingCamera:
    """
    A simulated camera that behaves as PROTOCOL says in section 4.

    It goes back to sleep a moment after CLOSE, or the command to sleep; when its network is left;
    and when nobody uses it.

    @ivar camera: what it is once its network is joined; it has the card and its faults.
    @ivar access: what it answers when it is woken.
    @ivar address: its Bluetooth address.
    @ivar name: its Bluetooth name.
    @ivar state: what it does now. Only to look at.
    @ivar wake_ups: how often it was woken, also when it was awake.
    @ivar never_appears: a fault: its network does not come. May be changed at any time.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        air: Air,
        camera: SimulatedCamera,
        access: Access | None = None,
        *,
        address: str = "C6:1E:0D:00:12:34",
        name: str = "KJK230_1234",
        boot: float = 1.0,
        linger: float = 0.5,
        patience: float = 60.0,
    ) -> None:
        """
        @param air: where it is; must not have started yet.
        @param camera: not started, and on a fixed port or any; this one starts and stops it.
        @param access: its network; C{None} for C{KJK_1234} with the passphrase C{12345678}.
        @param boot: seconds from the wake-up until the network is there (real ones: 5 to 15).
        @param linger: seconds that it stays awake when it is no longer needed.
        @param patience: seconds that it stays awake when nobody uses it.
        @raise ConfigError: when the air has a camera with this address or network already.
        """
        self.camera = camera
        self.access = access or Access("KJK_1234", "02:00:00:00:12:34", "12345678")
        self.address = address.upper()
        self.name = name
        self.state = State.ASLEEP
        self.wake_ups = 0
        self.never_appears = False
        self._air = air
        self._boot, self._linger, self._patience = boot, linger, patience
        self._timer: IDelayedCall | None = None
        self._awake_since = self._awake_before = 0.0
        self._is_open = False
        self._closing: Deferred[Any] = succeed(None)
        camera.over = self._session_over
        air.put(self)

    @property
    def traits(self) -> set[str]:
        """What it must not share with another camera."""
        return {self.address, self.access.ssid, self.access.bssid.upper()}

    @property
    def awake(self) -> float:
        """How many seconds it has been awake in all, by the reactor's clock."""
        if self.state is State.ASLEEP:
            return self._awake_before
        return self._awake_before + self._now() - self._awake_since

    async def find_port(self) -> None:
        """
        Learn where it will listen once it is awake.

        @raise ConfigError: when it cannot.
        """
        self.camera.start()
        await self.camera.switch_off()

    async def stop(self) -> None:
        """Say CLOSE to whoever is there, and sleep for ever."""
        goodbye = self.camera.stop()
        if self.state is not State.ASLEEP:
            self._sleep()
        await goodbye
        await self._closing

    # What happens to it.

    def woken(self) -> None:
        """The wake-up was written. It has been answered already."""
        self.wake_ups += 1
        if self.state is State.ASLEEP:
            self.state = State.BOOTING
            self._awake_since = self._now()
            self._after(self._boot, self._appear)
            self.log.info("the camera {name} wakes up", name=self.name)
        elif self.state is not State.BOOTING:
            self._after(self._patience, self._sleep_if_unused)

    def joined(self) -> None:
        """The station is in the network."""
        if self.state is State.AWAKE:
            self.state = State.JOINED
            self._after(self._patience, self._sleep_if_unused)
            opening = Deferred.fromCoroutine(self._open_ports())
            opening.addErrback(lambda failure: self.log.error(
                "{name}: {why}", name=self.name, why=failure.getErrorMessage()))  # fmt: skip

    def left(self) -> None:
        """The station has left the network; without a word, if it has not said CLOSE."""
        if self.state is State.JOINED:
            self.state = State.AWAKE
            self._close_ports()
            self._after(self._linger, self._sleep)

    def _session_over(self, reason: CloseReason) -> None:
        if self.state is State.JOINED:
            # A client that fell silent may come back; one that said CLOSE is done.
            done = reason in (CloseReason.PEER, CloseReason.LOCAL)
            self._after(self._linger if done else self._patience, self._sleep_if_unused)

    # What it does.

    def _appear(self) -> None:
        self.state = State.AWAKE
        self._after(self._patience, self._sleep)
        if not self.never_appears:
            self._air.show(self.access)
            self.log.info("the network {ssid} is there", ssid=self.access.ssid)

    async def _open_ports(self) -> None:
        await self._closing  # a port that is about to be closed cannot be opened
        if self.state is State.JOINED and not self._is_open:
            self._is_open = True
            self.camera.switch_on()

    def _close_ports(self) -> None:
        self._is_open = False
        self._closing = gatherResults([self._closing, self.camera.switch_off()])

    def _sleep_if_unused(self) -> None:
        if self.camera.session is None:  # else the end of the session sets the timer again
            self._sleep()

    def _sleep(self) -> None:
        self._awake_before = self.awake
        self.state = State.ASLEEP
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._air.hide(self.access)
        self._close_ports()
        self.log.info("the camera {name} sleeps again, {seconds:.1f} s after it woke up",
                      name=self.name, seconds=self._now() - self._awake_since)  # fmt: skip

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        """Do this then, and not what else was to be done."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._air.reactor.callLater(seconds, what)

    def _now(self) -> float:
        return float(self._air.reactor.seconds())
