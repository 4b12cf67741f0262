"""What people see: pages for teachers, examiners and operators."""
