"""One file a page: layout only. Streamlit runs each as a script."""
