"""What results were made from, and whether they would still be made so: records, code, content, freshness."""
