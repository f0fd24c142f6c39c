"""What the bytes of a row mean: types, values, images, documents. No I/O."""
