"""The one door out: resolve, judge, dial, and pooled HTTP on top."""
