//! How RocksDB is set up: one place for every option, each with its reason.

use std::path::Path;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompactionStyle, DBRecoveryMode,
    DBWithThreadMode, LogLevel, LruCacheOptions, MultiThreaded, Options, ReadOptions, WriteOptions,
};

use super::fault::{DatabaseFault, is_absence};
use super::layout::{Family, IDS, SALTS, family};

/// The database; column families come and go while it is open.
pub(super) type Db = DBWithThreadMode<MultiThreaded>;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// All memtables together. A flush begins before it is reached.
const MEMTABLES: usize = 40 * MIB;
/// Blocks, indexes and filters together.
const BLOCKS: usize = 24 * MIB;
/// The write-ahead log, before the families that pin its oldest file are flushed.
const LOG: u64 = 64 * 1024 * 1024;

/// What to do with a damaged write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovery {
    /// Take an incomplete tail for the write that was going on; refuse any other damage.
    Strict,
    /// Stop at the first damage.
    UpToDamage,
    /// The same, and do not insist that every log file is there.
    Anything,
}

/// Makes the options of all families of one database, which share one cache.
pub(super) struct Setup {
    cache: Cache,
}

impl Setup {
    pub(super) fn new() -> Self {
        // Few shards: no block may be larger than its shard, or it is read again each time.
        let mut options = LruCacheOptions::default();
        options.set_capacity(BLOCKS);
        options.set_num_shard_bits(2);
        Self { cache: Cache::new_lru_cache_opts(&options) }
    }

    /// The options of the database.
    pub(super) fn database(create: bool, recovery: Recovery) -> Result<Options, DatabaseFault> {
        // These have no setter in the binding. `track_and_verify_wals` has each log file name the
        // one before, so that a missing one is found; errors carry no keys or values.
        let verify = recovery != Recovery::Anything;
        let mut options = Options::default().get_options_from_string(format!(
            "track_and_verify_wals={verify};allow_data_in_errors=false;strict_bytes_per_sync=true;max_bgerror_resume_count=2147483647"
        ))?;
        options.create_if_missing(create);
        options.create_missing_column_families(create);
        options.set_paranoid_checks(true);
        options.set_wal_recovery_mode(match recovery {
            Recovery::Strict => DBRecoveryMode::TolerateCorruptedTailRecords,
            Recovery::UpToDamage | Recovery::Anything => DBRecoveryMode::PointInTime,
        });
        // A recycled log file holds old records behind the new ones; erasure could not be proved.
        options.set_recycle_log_file_num(0);
        options.set_manual_wal_flush(false);
        options.set_enable_pipelined_write(false);
        options.set_unordered_write(false);
        // One writer thread: nothing to be had from concurrency inside a memtable.
        options.set_allow_concurrent_memtable_write(false);
        options.set_max_total_wal_size(LOG);
        options.set_db_write_buffer_size(MEMTABLES);
        options.set_max_open_files(512);
        options.set_max_file_opening_threads(2);
        options.set_max_background_jobs(2);
        // A table file goes to the disk piece by piece, one at a time: the sync of a group waits for no more than that.
        options.set_bytes_per_sync(super::bytes::count(256 * KIB));
        options.set_skip_stats_update_on_db_open(true);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        options.set_max_manifest_file_size(4 * MIB);
        options.set_log_level(LogLevel::Warn);
        options.set_max_log_file_size(MIB);
        options.set_keep_log_file_num(2);
        Ok(options)
    }

    /// The options of the family `name`.
    pub(super) fn family(&self, name: &str) -> Result<Options, DatabaseFault> {
        // Each key and value is protected by a checksum in memory and in cached blocks too.
        let mut options = Options::default().get_options_from_string(
            "memtable_protection_bytes_per_key=8;block_protection_bytes_per_key=8;force_consistency_checks=true",
        )?;
        options.set_compression_type(rocksdb::DBCompressionType::None);
        match family(name) {
            Some(Family::Segment(_)) => {
                self.segment(&mut options);
                // A read is of one place in one of many files that do not overlap. With the first key of each block
                // in the index, the others need not load a block to know that they are not meant.
                options = options.get_options_from_string(
                    "block_based_table_factory={index_type=kBinarySearchWithFirstKey}",
                )?;
            }
            Some(Family::Dedup(_)) => self.dedup(&mut options),
            Some(Family::Fixed) | None => self.rows(&mut options, name),
        }
        Ok(options)
    }

    fn blocks(&self, size: usize) -> BlockBasedOptions {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&self.cache);
        blocks.set_block_size(size);
        blocks.set_format_version(6);
        blocks
    }

    /// Blocks of rows that are asked for by key, often in vain. Indexes and filters are cut into partitions that
    /// count against the cache: memory has one bound, and a lookup does not load the filter of a whole file.
    fn filtered_blocks(&self) -> BlockBasedOptions {
        let mut blocks = self.blocks(8 * KIB);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_cache_index_and_filter_blocks_with_high_priority(true);
        blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        blocks.set_partition_filters(true);
        blocks.set_metadata_block_size(4 * KIB);
        blocks.set_bloom_filter(10.0, false);
        blocks
    }

    /// Records: large, in order, sealed, never changed. The files of a segment never overlap, so there
    /// is nothing to compact, and no number of them may slow a write down. Their indexes are held with the open
    /// files, of which there are at most 512: about 20 KiB each.
    fn segment(&self, options: &mut Options) {
        options.set_disable_auto_compactions(true);
        options.set_level_zero_slowdown_writes_trigger(1 << 20);
        options.set_level_zero_stop_writes_trigger(1 << 20);
        options.set_write_buffer_size(16 * MIB);
        options.set_max_write_buffer_number(3);
        options.set_block_based_table_factory(&self.blocks(32 * KIB));
    }

    /// Deduplication rows: small, random keys, mostly asked for in vain. Universal compaction writes
    /// each row few times before its family is dropped whole.
    fn dedup(&self, options: &mut Options) {
        options.set_compaction_style(DBCompactionStyle::Universal);
        options.set_write_buffer_size(8 * MIB);
        options.set_max_write_buffer_number(2);
        options.set_memtable_prefix_bloom_ratio(0.05);
        options.set_memtable_whole_key_filtering(true);
        options.set_block_based_table_factory(&self.filtered_blocks());
    }

    /// The store's own rows and the registry's.
    fn rows(&self, options: &mut Options, name: &str) {
        options.set_write_buffer_size(if name == SALTS { MIB } else { 4 * MIB });
        if name == IDS {
            // One file, however large (60 MB for a million customers): no id is the first or the last key of one.
            options.set_target_file_size_base(1 << 36);
        }
        options.set_max_write_buffer_number(2);
        options.set_block_based_table_factory(&self.filtered_blocks());
    }

    /// Every family with its options.
    pub(super) fn descriptors(&self, names: &[String]) -> Result<Vec<ColumnFamilyDescriptor>, DatabaseFault> {
        names.iter().map(|name| Ok(ColumnFamilyDescriptor::new(name, self.family(name)?))).collect()
    }
}

/// The names of the families of the database in `path`.
pub(super) fn families(path: &Path) -> Result<Vec<String>, DatabaseFault> {
    Ok(Db::list_cf(&Options::default(), path)?)
}

/// How a group is written.
pub(super) fn write_options(sync: bool) -> WriteOptions {
    let mut options = WriteOptions::new();
    options.set_sync(sync);
    options
}

/// How rows between two keys are read: the iterator has both bounds, and what it reads once does
/// not push what is read often out of the cache.
pub(super) fn between(lower: Vec<u8>, upper: Vec<u8>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(lower);
    options.set_iterate_upper_bound(upper);
    options.set_verify_checksums(true);
    options.fill_cache(false);
    options.set_auto_readahead_size(true);
    options
}

/// Whether RocksDB says that the disk is full.
pub(super) fn is_no_space(error: &rocksdb::Error) -> bool {
    let text = error.as_ref();
    text.contains("No space left on device") || text.contains("Disk quota exceeded")
}

/// Whether RocksDB has a family of that name already, which this program has no handle of.
pub(super) fn is_half_made(error: &rocksdb::Error) -> bool {
    error.as_ref().contains("Column family already exists")
}

/// Whether RocksDB says that bytes are damaged or files are missing.
pub(super) fn is_damage(error: &rocksdb::Error) -> bool {
    error.kind() == rocksdb::ErrorKind::Corruption || is_absence(error.as_ref())
}
