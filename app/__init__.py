"""The dashboard: a Streamlit app that reads the published marts.

This is the only package that imports Streamlit; nobody imports it.
"""
