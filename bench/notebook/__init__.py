"""What `import bench` offers a notebook: results as pandas frames and Matplotlib axes, and runs."""
