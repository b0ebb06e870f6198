class SegmentPool:
    directory: str
    segment_bytes: int
    log_bytes_max: int
    free_bytes_min: int
    segments_created: int
    def adopt(
        self, file_number: int, epoch: int, first_lsn: int, previous_lsn: int, last_lsn: int, former_epoch: int
    ) -> None: ...
    def probe(self) -> None: ...
    def release(self, lsn: int) -> int: ...
