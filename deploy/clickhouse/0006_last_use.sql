-- When the last request of a rollup began: lists of keys need not read rows. 0 in rollups from before; then it is the hour.

ALTER TABLE usage_hourly {on_cluster}
ADD COLUMN IF NOT EXISTS last_started_at_us Int64 DEFAULT 0 AFTER ttft_us;
