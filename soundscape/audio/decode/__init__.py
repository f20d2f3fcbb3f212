"""From a file or stream to blocks of samples."""
