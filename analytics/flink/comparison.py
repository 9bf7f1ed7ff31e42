"""The comparison of Flink's tables with the consumer's: rows and checksums of each table and day."""

from analytics.checksum import Checksum, read_checksums
from analytics.flink.tables import exist
from analytics.generation import FLINK


def find_differences() -> list[str]:
    """Return a sentence for each table and day whose checksums differ.

    The two are written at different moments, so a day of which events arrive now may differ for some seconds.
    """
    if not exist():
        return ["Flink has no tables yet: start the shop with ANALYTICS=flink"]
    ours, its = ({(one.table, one.day): one for one in read_checksums(side)} for side in (None, FLINK))
    return [
        f"{table} {day or 'no day'}: the consumer has {_tell(ours.get((table, day)))}, Flink has "
        f"{_tell(its.get((table, day)))}"
        for table, day in sorted(ours.keys() | its.keys(), key=str)
        if ours.get((table, day)) != its.get((table, day))
    ]


def _tell(checksum: Checksum | None) -> str:
    return f"{checksum.rows} rows (checksum {checksum.sum})" if checksum else "no rows"
