"""What the pages of protocols are put together from."""
