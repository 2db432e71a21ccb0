"""What `scripts/benchmark.py` measures: ours and the peers, interleaved in one sitting. Peers run in processes of their own."""
