"""Facts of machines that tests make up: a Raspberry Pi with a worn eMMC, and one that tells nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from leafbox.monitoring.machine import Machine, is_kernel_clock_synchronised

SLACK_BYTES = 256 << 20
"""Others write to the same file system between two readings."""


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def raspberry(tmp_path: Path) -> Machine:
    root, data = tmp_path / "root", tmp_path / "data"
    data.mkdir()
    number = os.stat(data).st_dev
    disk = "sys/devices/platform/mmc/block/mmcblk0"
    write(
        root,
        {
            "proc/stat": "cpu  100 0 50 800 40 5 5 0 0 0\ncpu0 1 1\n",
            "proc/meminfo": "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:    250 kB\n",
            "proc/uptime": "123.45 400.00\n",
            "proc/loadavg": "0.50 0.40 0.30 1/100 999\n",
            "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
            "etc/os-release": 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n',
            "sys/class/thermal/thermal_zone0/type": "gpu-thermal\n",
            "sys/class/thermal/thermal_zone0/temp": "40000\n",
            "sys/class/thermal/thermal_zone1/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone1/temp": "61234\n",
            "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
            "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
            "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n",
            "run/systemd/timesync/synchronized": "",
            f"{disk}/stat": "1 2 3 4 5 6 2048 8 9\n",
            f"{disk}/device/life_time": "0x02 0x05\n",
            f"{disk}/device/pre_eol_info": "0x02\n",
            f"{disk}/device/name": "DG4032\n",
            f"{disk}/mmcblk0p2/partition": "2\n",
            f"{disk}/mmcblk0p2/stat": "1 2 3 4 5 6 1 8 9\n",
        },
    )
    link = root / "sys/dev/block" / f"{os.major(number)}:{os.minor(number)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(root / disk / "mmcblk0p2")
    return Machine(data, root)


def test_a_raspberry_pi(raspberry: Machine) -> None:
    facts = raspberry.facts()
    assert (facts.memory_bytes, facts.memory_available_bytes) == (1000 * 1024, 250 * 1024)
    assert (facts.uptime_s, facts.load_1m) == (123.45, 0.5)
    assert facts.temperature_c == 61.234
    assert facts.is_undervoltage is True
    assert facts.is_clock_synchronised is True
    assert facts.flash_bytes > facts.flash_free_bytes > 0
    device = facts.device
    assert device is not None
    assert (device.name, device.model, device.written_bytes) == ("mmcblk0", "DG4032", 2048 * 512)
    assert (device.life_used_percent, device.end_of_life) == (50, "warning")
    times = raspberry.processor_times()
    assert times is not None
    assert (times.busy, times.total) == (160, 1000)
    assert raspberry.memory_used_bytes() == 750 * 1024
    names = raspberry.names()
    assert names.model == "Raspberry Pi 5 Model B Rev 1.0"
    assert names.system == "Debian GNU/Linux 13 (trixie)"


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, tmp_path / "empty")
    facts = machine.facts()
    assert (facts.memory_bytes, facts.temperature_c, facts.is_undervoltage) == (0, None, None)
    assert (facts.device, facts.is_clock_synchronised) == (None, None)
    assert machine.processor_times() is None
    assert machine.memory_used_bytes() is None
    assert machine.names().model == "unknown"


def test_a_data_directory_that_is_gone(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "gone", tmp_path)
    assert machine.flash() == (0, 0)
    assert machine.device() is None


def test_the_size_of_a_file_system_leaves_out_what_is_kept_for_root(tmp_path: Path) -> None:
    """As `df` counts, so that the share in use is what a person sees there: a tenth may be kept for root."""
    size, free = Machine(tmp_path).flash()
    command = ["df", "--block-size=1", "--output=used,avail", str(tmp_path)]
    found = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    used, available = map(int, found.stdout.split()[-2:])
    assert abs(size - used - available) <= SLACK_BYTES
    assert abs(free - available) <= SLACK_BYTES


def test_this_machine_can_be_read() -> None:
    machine = Machine(Path())
    assert machine.facts().memory_bytes > 1 << 20
    assert machine.processor_times() is not None
    assert is_kernel_clock_synchronised() in (True, False, None)
