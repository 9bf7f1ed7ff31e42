"""The archive: days of activity as Parquet files, written and verified before their partition is dropped.

A file has the rows of `Activity` without `order_id`, and with a random number in place of the visitor, which is
different on each day. Nothing in the archive leads from a browser or a person to a visit, or from a visit to an order.
The table `ArchivedDay` knows each file with its rows and checksum. settings.ANALYTICS_ARCHIVE_DIR switches it on.

    folder      the folder, the names of files, renaming that survives a crash
    files       Parquet: write and read rows
    content     rows of a day in a temporary table, and their checksum
    day         the steps from a partition to a verified file and the drop of the partition
    inventory   the known files, their verification, and the days without a file
"""
