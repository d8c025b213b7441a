-- In which areas policies and request together allowed a call to be processed (`eu,us`; empty: in none). Null: anywhere.
ALTER TABLE call_records ADD COLUMN inference_regions text;
