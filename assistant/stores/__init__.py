"""Where conversations, turns and pictures are kept: Redis (or Valkey), and a folder for pictures on one machine."""
