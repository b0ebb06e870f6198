"""What the operating system tells of the machine: processor, memory, temperature, power, storage device, clock.

Reads small files of /proc and /sys, below a root so that tests can show it any machine; a fact the machine does not
tell is None, never a guess. Nothing here blocks longer than such a read, but nothing is read more often than asked for.

Sources: kernel documentation of `stat` in sysfs block, of eMMC attributes (`life_time` in steps of 10 %, `pre_eol_info`
1 normal, 2 warning, 3 urgent: JEDEC JESD84-B51), of the `rpi_volt` hwmon driver, and adjtimex(2).
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

SECTOR_BYTES = 512
"""The unit of /sys/block/*/stat, whatever the device's own sectors are."""
LIFE_STEP_PERCENT = 10
UNSYNCHRONISED = 0x40
"""STA_UNSYNC of adjtimex(2)."""
CLOCK_BEFORE_S = 1_767_225_600
"""2026-01-01. This software is younger, so an earlier time is a clock that was never set."""
PREFERRED_ZONES = ("cpu-thermal", "cpu_thermal", "soc-thermal", "soc_thermal", "x86_pkg_temp")


@dataclass(frozen=True, slots=True)
class StorageDevice:
    """The device that the data lie on."""

    name: str
    written_bytes: int
    """Since the machine was switched on."""
    life_used_percent: int | None = None
    """Upper end of the step that an eMMC tells; other devices do not tell."""
    end_of_life: str = ""
    """`normal`, `warning` or `urgent`, of an eMMC."""
    model: str = ""


@dataclass(frozen=True, slots=True)
class ProcessorTimes:
    """Ticks since the machine was switched on, of all cores together."""

    busy: int
    total: int


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """The machine at one moment."""

    memory_bytes: int = 0
    memory_available_bytes: int = 0
    temperature_c: float | None = None
    is_undervoltage: bool | None = None
    """A Raspberry Pi that has seen too little voltage since it was last asked."""
    uptime_s: float = 0.0
    load_1m: float = 0.0
    cores: int = 1
    flash_bytes: int = 0
    flash_free_bytes: int = 0
    device: StorageDevice | None = None
    is_clock_synchronised: bool | None = None


@dataclass(frozen=True, slots=True)
class MachineNames:
    """What does not change while the machine runs."""

    model: str
    kernel: str
    system: str
    architecture: str
    hostname: str


class Machine:
    """Readings of this machine. `data` is where the box keeps its data; `root` is `/` outside of tests."""

    def __init__(self, data: Path, root: Path = Path("/")) -> None:
        self._data = data
        self._root = root
        self._block = self._find_block()
        self._zone = self._find_zone()
        self._undervoltage = self._find_undervoltage()

    def facts(self) -> MachineFacts:
        """Everything now."""
        memory = self._memory()
        flash_bytes, free_bytes = self.flash()
        load = self._read("proc/loadavg").split()
        uptime = self._read("proc/uptime").split()
        return MachineFacts(
            memory_bytes=memory.get("MemTotal", 0),
            memory_available_bytes=memory.get("MemAvailable", 0),
            temperature_c=self.temperature(),
            is_undervoltage=self._is_undervoltage(),
            uptime_s=float(uptime[0]) if uptime else 0.0,
            load_1m=float(load[0]) if load else 0.0,
            cores=os.cpu_count() or 1,
            flash_bytes=flash_bytes,
            flash_free_bytes=free_bytes,
            device=self.device(),
            is_clock_synchronised=self._is_clock_synchronised(),
        )

    def names(self) -> MachineNames:
        """What this machine is."""
        release = dict(line.partition("=")[::2] for line in self._read("etc/os-release").splitlines())
        model = self._read("proc/device-tree/model").rstrip("\0")
        vendor = self._read("sys/class/dmi/id/sys_vendor").strip()
        product = self._read("sys/class/dmi/id/product_name").strip()
        system = os.uname()
        return MachineNames(
            model=model or f"{vendor} {product}".strip() or "unknown",
            kernel=f"{system.sysname} {system.release}",
            system=release.get("PRETTY_NAME", "").strip('"') or "unknown",
            architecture=system.machine,
            hostname=system.nodename,
        )

    # -- what the history asks for each second ------------------------------------------------------------------------

    def processor_times(self) -> ProcessorTimes | None:
        """Ticks of all cores."""
        fields = self._read("proc/stat").partition("\n")[0].split()
        if len(fields) < 6 or fields[0] != "cpu":
            return None
        # user nice system idle iowait irq softirq steal; guest times are in user already.
        ticks = [int(field) for field in fields[1:9]]
        return ProcessorTimes(busy=sum(ticks) - ticks[3] - ticks[4], total=sum(ticks))

    def memory_used_bytes(self) -> int | None:
        """Memory that is not available to programs."""
        memory = self._memory()
        if "MemTotal" not in memory or "MemAvailable" not in memory:
            return None
        return memory["MemTotal"] - memory["MemAvailable"]

    def temperature(self) -> float | None:
        """Of the processor, degrees Celsius."""
        text = _text(self._zone / "temp") if self._zone is not None else ""
        try:
            return int(text) / 1000
        except ValueError:
            return None

    def flash(self) -> tuple[int, int]:
        """(size, free for us) of the file system of the data, bytes, as `df` counts: without what is kept for root."""
        try:
            found = os.statvfs(self._data)
        except OSError:
            return 0, 0
        kept_for_root = found.f_bfree - found.f_bavail
        return (found.f_blocks - kept_for_root) * found.f_frsize, found.f_bavail * found.f_frsize

    def device(self) -> StorageDevice | None:
        """The device of the data; None where there is no single one (a container's overlay, a network)."""
        if self._block is None:
            return None
        fields = _text(self._block / "stat").split()
        if len(fields) < 7:
            return None
        lifes = [int(part, 16) for part in _text(self._block / "device/life_time").split()]
        end = {1: "normal", 2: "warning", 3: "urgent"}
        state = _text(self._block / "device/pre_eol_info").strip()
        return StorageDevice(
            name=self._block.name,
            written_bytes=int(fields[6]) * SECTOR_BYTES,
            life_used_percent=min(max(lifes) * LIFE_STEP_PERCENT, 110) if lifes and max(lifes) > 0 else None,
            end_of_life=end.get(int(state, 16), "") if state else "",
            model=(_text(self._block / "device/model") or _text(self._block / "device/name")).strip(),
        )

    # -- where to look ------------------------------------------------------------------------------------------------

    def _find_block(self) -> Path | None:
        try:
            number = os.stat(self._data).st_dev
        except OSError:
            return None
        link = self._root / "sys/dev/block" / f"{os.major(number)}:{os.minor(number)}"
        if not link.exists():
            return None
        block = link.resolve()
        # A partition counts its own writes, but life and model are the whole device's.
        return block.parent if (block / "partition").exists() else block

    def _find_zone(self) -> Path | None:
        zones = sorted((self._root / "sys/class/thermal").glob("thermal_zone*"))
        by_type = {_text(zone / "type").strip(): zone for zone in reversed(zones)}
        return next((by_type[name] for name in PREFERRED_ZONES if name in by_type), zones[0] if zones else None)

    def _find_undervoltage(self) -> Path | None:
        for sensor in sorted((self._root / "sys/class/hwmon").glob("hwmon*")):
            if _text(sensor / "name").strip() == "rpi_volt":
                return sensor / "in0_lcrit_alarm"
        return None

    def _is_undervoltage(self) -> bool | None:
        text = _text(self._undervoltage).strip() if self._undervoltage is not None else ""
        return text == "1" if text else None

    def _is_clock_synchronised(self) -> bool | None:
        if (self._root / "run/systemd/timesync/synchronized").exists():
            return True
        if self._root != Path("/"):
            return None
        return is_kernel_clock_synchronised()

    def _memory(self) -> dict[str, int]:
        found = {}
        for line in self._read("proc/meminfo").splitlines()[:5]:
            name, _, value = line.partition(":")
            if value.endswith("kB"):
                found[name] = int(value.split()[0]) * 1024
        return found

    def _read(self, path: str) -> str:
        return _text(self._root / path)


def is_kernel_clock_synchronised() -> bool | None:
    """Whether somebody (NTP, PTP) disciplines the clock; None where the kernel does not say (some containers)."""
    # `struct timex`: modes and padding, then longs; status is the sixth word. Its real size is below 256 bytes.
    buffer = (ctypes.c_long * 64)()
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        outcome = libc.adjtimex(ctypes.byref(buffer))
    except (OSError, AttributeError):
        return None
    if outcome < 0:
        return None
    # int modes (padded to a long), long offset, freq, maxerror, esterror, int status.
    status = ctypes.c_int.from_buffer(buffer, 5 * ctypes.sizeof(ctypes.c_long)).value
    return not status & UNSYNCHRONISED


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(65536)
    except OSError:
        return ""
